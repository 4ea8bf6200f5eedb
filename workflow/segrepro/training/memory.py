"""How much memory a training will take: an estimate from its graph, made before the first step.

The gradients of one micro-batch are traced, not run. Going through the graph's operations in the order in which they
were made, a tensor counts from the operation that makes it to the last one that reads it; the largest sum is the peak
of activations and gradients. Networks, precisions and recomputation need no formula of their own that way. Weights,
optimiser and accumulated gradients come on top. What the libraries take beside that is allowed for, not computed.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.config.spec import ModelSpec
from segrepro.data.pictures import picture_size
from segrepro.gpus import nvidia_smi
from segrepro.stores.manifests import Example
from segrepro.training.losses import FLOAT, WHOLE_BATCH_BYTES, labels_at_stride, summed_cross_entropy
from segrepro.training.remat import WHOLE_PICTURE, training_pass

GB, MIB = 1e9, 2**20
LOOKED_AT = 200  # pictures whose size is read where they are trained on whole
# Of one example at label size, in the loss: logits, log-probabilities, the target's share, and their gradient.
LOSS_MAPS = 4
# CUDA's context and kernels, cuDNN's workspaces, gaps between tensors: an assumption, for want of a GPU to measure on.
GPU_ALLOWANCE = 1.5e9  # bytes
SLOTS = {"sgd": 1, "adam": 2}  # copies of the weights that an optimiser keeps

# Operations whose result is their first input's memory, seen as another shape, or the variable's own.
ALIASES = {"Identity", "IdentityN", "Reshape", "StopGradient", "PreventGradient", "Squeeze", "ExpandDims", "Snapshot"}
VARIABLES = {"ReadVariableOp", "Const", "Placeholder"}
# Element by element: TensorFlow writes the result over an input that nobody reads any more.
IN_PLACE = {
    *("Add", "AddV2", "AddN", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "Neg", "Exp", "Square", "Rsqrt", "Sqrt"),
    *("Relu", "ReluGrad", "BiasAdd", "SquaredDifference", "Softmax", "LogSoftmax", "Cast", "SelectV2"),
}
LOOPS = {"While", "StatelessWhile"}


@dataclass(frozen=True)
class Estimate:
    """Bytes that a training takes on each of its devices, without what the libraries take."""

    kept: int  # weights, what the optimiser keeps of them, and the gradients that accumulation sums up
    peak: int  # the most that activations, gradients and the loss's maps take at once

    @property
    def total(self) -> int:
        """All of it."""
        return self.kept + self.peak


def model_memory(
    model: keras.Model, protocol: Protocol, resize: str, *, gpus: int = 1, side: int | None = None
) -> Estimate:
    """Estimate the memory of training a model, built under the protocol's precision and frozen as the protocol says.

    ``gpus`` share a micro-batch; ``side`` is that of the whole pictures of a protocol without a crop, in pixels (None:
    `WHOLE_PICTURE`).
    """
    side = protocol.crop or side or WHOLE_PICTURE
    examples = protocol.micro_batch // gpus
    classes = model.output_shape[-1]
    of_example = FLOAT * side * side * classes
    graph = _gradient_graph(model, protocol, resize, (examples, side, side))
    in_loops = 0 if examples * of_example <= WHOLE_BATCH_BYTES else LOSS_MAPS * of_example
    weights = FLOAT * sum(variable.shape.num_elements() for variable in model.variables)
    trained = FLOAT * sum(variable.shape.num_elements() for variable in model.trainable_variables)
    copies = SLOTS[protocol.optimiser] + (1 if protocol.accumulation > 1 else 0)
    return Estimate(weights + copies * trained, peak_bytes(graph, in_loops=in_loops))


def _gradient_graph(model: keras.Model, protocol: Protocol, resize: str, shape: tuple[int, int, int]) -> tf.Graph:
    """Return the graph of a micro-batch's gradients, as `segrepro.training.step.compile_steps` has it."""
    forward = training_pass(model, protocol)

    @tf.function
    def gradients(pictures: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = forward(pictures)
            if protocol.loss_at == "stride":
                labels = labels_at_stride(labels, tf.shape(logits)[1:3])
            loss, _ = summed_cross_entropy(logits, labels, loss_at=protocol.loss_at, resize=resize)
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    inputs = tf.TensorSpec((*shape, 3), tf.float32), tf.TensorSpec(shape, tf.uint8)
    return gradients.get_concrete_function(*inputs).graph


def peak_bytes(graph: tf.Graph, *, in_loops: int = 0) -> int:
    """Return the most bytes that tensors of a concrete function's graph take at once, its results included.

    Variables and arguments are not counted; a tensor whose size is not known counts as nothing. ``in_loops`` are bytes
    that are added while a loop runs, whose body is not looked into.
    """
    operations = _needed(graph)
    home: dict[str, str] = {}  # tensor -> the one whose memory it is in
    size: dict[str, int] = {}
    for operation in operations:
        for tensor in operation.outputs:
            aliased = operation.type in ALIASES and operation.inputs
            of = operation.inputs[min(tensor.value_index, len(operation.inputs) - 1)] if aliased else tensor
            home[tensor.name] = home.get(of.name, of.name)
            if not aliased:
                size[tensor.name] = 0 if operation.type in VARIABLES else _bytes(tensor)
    last = {home[t.name]: place for place, op in enumerate(operations) for t in (*op.inputs, *op.outputs)}
    last |= {home[tensor.name]: len(operations) for tensor in graph.outputs if tensor.name in home}
    now = most = 0
    for place, operation in enumerate(operations):
        made = {home[tensor.name] for tensor in operation.outputs} - {home[tensor.name] for tensor in operation.inputs}
        ending = {home[t.name] for t in (*operation.inputs, *operation.outputs) if last[home[t.name]] == place}
        new = sum(size[tensor] for tensor in made)
        free = sum(size[tensor] for tensor in ending)
        written_over = operation.type in IN_PLACE and new and any(size[t] == new for t in ending - made)
        most = max(most, now + (0 if written_over else new) + (in_loops if operation.type in LOOPS else 0))
        now += new - free
    return most


def _needed(graph: tf.Graph) -> list[tf.Operation]:
    """Return the operations that a function runs, in the order in which they were made; TensorFlow drops the others."""
    operations = graph.get_operations()
    wanted = [tensor.op for tensor in graph.outputs] + [op for op in operations if op.type.startswith("Assign")]
    found = set()
    while wanted:
        operation = wanted.pop()
        if operation.name not in found:
            found.add(operation.name)
            wanted += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return [operation for operation in operations if operation.name in found]


def _bytes(tensor: tf.Tensor) -> int:
    numbers = tensor.shape.num_elements()
    return numbers * tensor.dtype.size if numbers and tensor.dtype.size else 0


def check_memory(model: keras.Model, spec: ModelSpec, devices: dict[str, Any], examples: list[Example]) -> None:
    """Say before the first step that the training will hardly fit into its GPUs' memory, and what to do about it.

    No error: the estimate has an allowance in it, and a training that does not fit stops at its first step.
    """
    protocol, gpus = spec.protocol, devices["shared_by"]
    available = gpu_memory([gpu["id"] for gpu in devices["gpus"]])
    if available is None:
        return
    side = None if protocol.crop else longest_side([example.image for example in examples])
    estimate = model_memory(model, protocol, spec.network.resize, gpus=gpus, side=side)
    fits = f"memory: about {(estimate.total + GPU_ALLOWANCE) / GB:.1f} of the GPU's {available / GB:.1f} GB"
    print(too_little_memory(estimate, available, protocol, gpus=gpus) or fits, file=sys.stderr)


def too_little_memory(estimate: Estimate, available: int, protocol: Protocol, *, gpus: int = 1) -> str | None:
    """Return a sentence with the remedies if a training will hardly fit into a GPU's ``available`` bytes, else None."""
    wanted = estimate.total + GPU_ALLOWANCE
    if wanted <= available:
        return None
    return (
        f"memory: this training will take about {wanted / GB:.1f} GB, and the GPU has {available / GB:.1f}: "
        f"{'; or '.join(levers(protocol, gpus=gpus))}."
    )


def gpu_memory(ids: Sequence[str]) -> int | None:
    """Return the bytes of the smallest of some GPUs (numbers or UUIDs); None where ``nvidia-smi`` does not tell."""
    options = ("--query-gpu=memory.total", "--format=csv,noheader,nounits")
    answers = [nvidia_smi(f"--id={gpu}", *options).strip() for gpu in ids]
    if not answers or not all(answer.isdecimal() for answer in answers):
        return None
    return MIB * min(int(answer) for answer in answers)


def longest_side(pictures: Sequence[Path]) -> int:
    """Return the longest side of some pictures, pixels: of `LOOKED_AT` of them at most, evenly chosen."""
    chosen = pictures[:: -(-len(pictures) // LOOKED_AT)]
    return max(max(picture_size(path)) for path in chosen)


def levers(protocol: Protocol, *, gpus: int = 1) -> Iterator[str]:
    """Give what would take less memory where ``gpus`` share a micro-batch; what changes no number comes first."""
    examples = protocol.micro_batch
    if not protocol.remat:
        yield "set 'remat: true' of its protocol, which changes no number"
    if examples > gpus:
        yield f"let more GPUs share a step (runtime.gpus: {2 * gpus})"
    if examples > 1:
        smaller = f"micro_batch {examples // 2} with accumulation {2 * protocol.accumulation}"
        yield f"{smaller} (batch norm then sees fewer examples, if it is trained)"
    if protocol.precision == "float32":
        yield "'precision: mixed_bfloat16'"
    if protocol.crop:
        yield f"a crop below {protocol.crop}"
    yield "take a GPU with more memory"
