"""Unpooling with switches (DeconvNet, Noh et al. 2015, arXiv 1505.04366, section 3.2.1).

A max pooling forgets where in its window the maximum was. Unpooling puts each value back there, and zeros into the
rest of the window. The switches are not stored: they are found again in the features that were pooled, which costs
three comparisons per window and is, unlike ``tf.nn.max_pool_with_argmax`` and ``scatter_nd``, compiled by XLA.

``tf.raw_ops.MaxPoolGrad`` would do the same in one operation. But compiled by XLA it was ten times slower (TensorFlow
2.21 on a CPU), and its gradient then came from a wrong place in about one window of a thousand, without any ties.
"""

import keras
import tensorflow as tf

WINDOW = 2  # side and stride of the pooling, features


def unpool(x: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
    """Put each value where its 2x2 window of ``features`` has its maximum.

    Of equal maxima the first in row-major order counts (0.0 and -0.0 are equal), as in Caffe and in TensorFlow's
    pooling on the CPU. Values are moved, never computed with: the result is exact in any dtype. The gradient of ``x``
    is gathered from the same places; ``features`` get none, for they say only where.

    Args:
        x: (batch, height, width, channels), any float dtype.
        features: what was pooled, finite, (batch, 2 * height, 2 * width, channels), any float dtype; other shapes are a
            ValueError, as far as they are known.

    Returns:
        Shape of ``features``, dtype of ``x``.
    """
    _check_shapes(x.shape, features.shape)
    shape = tf.shape(features)
    batch, height, width, channels = (shape[axis] for axis in range(4))
    rows, columns = height // WINDOW, width // WINDOW
    x = tf.reshape(x, (batch, rows, columns, channels))
    windows = tf.reshape(tf.stop_gradient(features), (batch, rows, WINDOW, columns, WINDOW, channels))
    (a, b), (c, d) = ([windows[:, :, row, :, column] for column in range(WINDOW)] for row in range(WINDOW))
    upper, left_above, left_below = tf.maximum(a, b) >= tf.maximum(c, d), a >= b, c >= d
    zeros = tf.zeros_like(x)
    above, below = tf.where(upper, x, zeros), tf.where(upper, zeros, x)
    first_row = tf.stack([tf.where(left_above, above, zeros), tf.where(left_above, zeros, above)], axis=3)
    second_row = tf.stack([tf.where(left_below, below, zeros), tf.where(left_below, zeros, below)], axis=3)
    return tf.ensure_shape(tf.reshape(tf.stack([first_row, second_row], axis=2), shape), features.shape)


def _check_shapes(x: tf.TensorShape, features: tf.TensorShape) -> None:
    wanted = [x[0], *(None if extent is None else WINDOW * extent for extent in x[1:3]), x[3]]
    if not features.is_compatible_with(wanted):
        raise ValueError(
            f"unpooling: values of shape {tuple(x)} need features of shape {tuple(wanted)}, not {tuple(features)}; "
            "give a network of five poolings pictures whose sides are multiples of 32."
        )


@keras.saving.register_keras_serializable(package="segrepro")
class Unpooling(keras.layers.Layer):
    """Undo a 2x2 max pooling of stride 2 by its switches; see `unpool`. Has no weights."""

    def call(self, inputs):
        """Unpool ``inputs[0]`` by the maxima of ``inputs[1]``; shapes as of `unpool`."""
        x, features = inputs
        return unpool(x, features)

    def compute_output_shape(self, input_shape):
        """Return the shape of the second input."""
        _, features = input_shape
        return tuple(features)
