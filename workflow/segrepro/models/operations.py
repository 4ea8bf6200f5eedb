"""What a network's passes take in floating-point operations, read off the TensorFlow graph."""

import math

import keras
import tensorflow as tf

COUNTED = ("Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "MatMul")
OPERATIONS_OF_A_MULTIPLY_ADD = 2
FORWARD_AND_BACKWARD = 3  # passes as dear as a forward one: the gradient by the input, and that by the weights
PICTURE = (375, 500)  # height and width of the common VOC picture, pixels
# What docs/cost.md assumes of a data-centre GPU, floating-point operations per second; see there.
ESTIMATED_SPEED = 10e12


def multiply_adds(model: keras.Model, height: int, width: int) -> int:
    """Return the multiply-adds of one picture's forward pass: convolutions and matrix products of the graph."""
    forward = tf.function(lambda pictures: model(pictures, training=False))
    graph = forward.get_concrete_function(tf.TensorSpec((1, height, width, 3))).graph
    return sum(_multiply_adds(operation) for operation in graph.get_operations() if operation.type in COUNTED)


def _multiply_adds(operation: tf.Operation) -> int:
    kernel, outputs = list(operation.inputs[1].shape), operation.outputs[0].shape.num_elements()
    if operation.type == "MatMul":
        return outputs * kernel[1 if operation.get_attr("transpose_b") else 0]
    if operation.type == "Conv2D":
        return outputs * math.prod(kernel[:3])  # rows, columns, channels in
    if operation.type == "Conv2DBackpropInput":  # a transposed convolution: kernel is rows, columns, out, in
        return operation.inputs[2].shape.num_elements() * math.prod(kernel[:3])
    return outputs * math.prod(kernel[:2])


def step_operations(model: keras.Model, *, crop: int | None, examples: int) -> float:
    """Return the floating-point operations of a training step of so many examples.

    ``crop`` is the side of its crops in pixels; None for whole pictures, which are counted as `PICTURE`.
    """
    size = (crop, crop) if crop else PICTURE
    return OPERATIONS_OF_A_MULTIPLY_ADD * FORWARD_AND_BACKWARD * examples * multiply_adds(model, *size)
