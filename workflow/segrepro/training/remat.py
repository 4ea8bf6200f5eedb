"""Rematerialisation: a forward pass that keeps some of the activations; the backward pass makes the others again.

The network is cut into segments. Between the passes only what crosses a cut is kept; the backward pass runs each
segment a second time (`tf.recompute_grad`; Chen et al. 2016, arXiv 1604.06174) and then has what its gradient needs: a
forward pass more of time, a fraction of the memory. The model itself stays as it is, and so does its file.

`keras.RematScope` does not do this: it recomputes each layer by itself, so that every layer's input is kept; and its
second call updates the moving statistics of batch norm a second time and draws other dropout masks (Keras 3.15,
``keras/src/backend/tensorflow/core.py``: a plain `tf.recompute_grad`).
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from segrepro.config.protocols import Protocol

# Maps of its output's size that a layer's gradient reads, or is made by: Keras computes batch norm by elementary
# operations (centred, scaled, and the product with the scale).
MAPS_OF_A_BATCH_NORM, MAPS_OF_A_LAYER = 3, 1
WHOLE_PICTURE = 500  # longest side of VOC's pictures, pixels: stands for whole pictures (protocols without a crop)
NARROWINGS = 20  # of the bound on the memory, each by half: to a millionth


@dataclass(frozen=True)
class Segment:
    """Consecutive layers, and the tensors (of the symbolic network, by id) that they read and hand on."""

    layers: tuple[keras.layers.Layer, ...]
    reads: tuple[int, ...]
    gives: tuple[int, ...]

    def run(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Compute what the segment hands on, in training mode."""
        values = dict(zip(self.reads, tensors, strict=True))
        for layer in self.layers:
            inputs = tf.nest.map_structure(lambda tensor: values[id(tensor)], layer.input)
            mode = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}
            values[id(layer.output)] = layer(inputs, **mode)
        return [values[tensor] for tensor in self.gives]

    def run_again_for_gradients(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Compute the same and keep nothing; the gradient computes it once more.

        The second time starts from the states (moving statistics, random seeds) that the first one met, and changes
        none: batch norm's statistics are updated once, dropout drops the same features.
        """
        states = [variable for layer in self.layers for variable in layer.variables if not variable.trainable]
        met = [tf.convert_to_tensor(state.value) for state in states]
        passes = []

        def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
            passes.append(None)
            if len(passes) == 1:
                return self.run(tensors)
            with keras.StatelessScope(state_mapping=list(zip(states, met, strict=True))):
                return self.run(tensors)

        return tf.recompute_grad(run)(*tensors)


def training_pass(model: keras.Model, protocol: Protocol) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the forward pass of a protocol's training: pictures to logits, recomputed where ``remat`` asks for it."""
    if protocol.remat:
        return rematerialised(model, protocol.crop or WHOLE_PICTURE)
    return lambda pictures: model(pictures, training=True)


def rematerialised(model: keras.Model, side: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function of pictures that gives the logits of ``model(pictures, training=True)``.

    The model is a functional one of one input and one output, each of whose layers is used once. It is cut up for
    square pictures of ``side`` pixels, and takes pictures of any size. The function is to be called within a
    `tf.function`: executed step by step, TensorFlow would compute all at once.
    """
    segments = cut(model, side)

    def forward(pictures: tf.Tensor) -> tf.Tensor:
        values = {id(model.inputs[0]): tf.cast(pictures, tf.float32)}
        for number, segment in enumerate(segments, start=1):
            # The last one's gradient comes first: nothing is gained by dropping what it reads.
            run = segment.run if number == len(segments) else segment.run_again_for_gradients
            given = run([values[tensor] for tensor in segment.reads])
            values.update(zip(segment.gives, given, strict=True))
        return values[id(model.outputs[0])]

    return forward


def cut(model: keras.Model, side: int) -> list[Segment]:
    """Cut a network (as of `rematerialised`) into segments, such that training it takes the least memory.

    When a segment is computed again, what crosses the cuts before it is held, and all that is within it. The largest
    such sum is made as small as can be: dynamic programming finds cuts within a bound, and the bound is narrowed down.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    sizes = _sizes(model, layers, side)
    made = {id(layer.output): place for place, layer in enumerate(layers)}
    last_read = {id(model.outputs[0]): len(layers)}
    for place, layer in enumerate(layers):
        for tensor in tf.nest.flatten(layer.input):
            last_read[id(tensor)] = max(place, last_read.get(id(tensor), 0))
    crossing = [[t for t in made if made[t] <= place < last_read.get(t, 0)] for place in range(len(layers))]
    norm = keras.layers.BatchNormalization
    maps = [MAPS_OF_A_BATCH_NORM if isinstance(layer, norm) else MAPS_OF_A_LAYER for layer in layers]
    held = [count * sizes[id(layer.output)] for count, layer in zip(maps, layers, strict=True)]
    kept = [[(made[t], sizes[t]) for t in tensors] for tensors in crossing]
    low, high = 0.0, float(sum(held))
    best = [len(layers) - 1]
    for _ in range(NARROWINGS):
        bound = (low + high) / 2
        found = _cuts_within(bound, held, kept)
        low, high, best = (low, bound, found) if found else (bound, high, best)
    starts = [0, *(end + 1 for end in best[:-1])]
    return [_segment(layers[start : end + 1], crossing[end]) for start, end in zip(starts, best, strict=True)]


def _sizes(model: keras.Model, layers: Sequence[keras.layers.Layer], side: int) -> dict[int, int]:
    """Return the numbers of every tensor for one picture."""
    shapes: dict[int, Any] = {id(model.inputs[0]): (1, side, side, 3)}
    for layer in layers:
        inputs = layer.input
        of_inputs = [shapes[id(tensor)] for tensor in inputs] if isinstance(inputs, list) else shapes[id(inputs)]
        shapes[id(layer.output)] = tuple(layer.compute_output_shape(of_inputs))
    return {tensor: math.prod(shape) for tensor, shape in shapes.items()}


def _cuts_within(bound: float, held: list[int], kept: list[list[tuple[int, int]]]) -> list[int] | None:
    """Return the places of the layers that end segments, the network's last one included; None if none fit.

    ``bound`` is on what crosses the cuts before a segment, and what is within it: ``held`` of each layer. ``kept`` is
    what crosses a cut behind each layer: pairs of the layer that made it, and its size.
    """
    least = {-1: 0.0}  # what crosses all cuts up to the one behind a layer
    before: dict[int, int] = {}
    for end in range(len(held)):
        within = 0
        for start in range(end, -1, -1):
            within += held[start]
            if within > bound:
                break
            if start - 1 not in least or least[start - 1] + within > bound:
                continue
            total = least[start - 1] + sum(size for place, size in kept[end] if place >= start)
            if total < least.get(end, math.inf):
                least[end], before[end] = total, start - 1
    end = len(held) - 1
    if end not in least:
        return None
    ends = []
    while end >= 0:
        ends.append(end)
        end = before[end]
    return ends[::-1]


def _segment(layers: Sequence[keras.layers.Layer], crossing: list[int]) -> Segment:
    made = {id(layer.output) for layer in layers}
    read = {id(tensor): None for layer in layers for tensor in tf.nest.flatten(layer.input)}
    return Segment(tuple(layers), tuple(t for t in read if t not in made), tuple(t for t in crossing if t in made))
