"""Upsampling, cropping and summing of maps that lie at different places of a picture: the layers of FCN.

All are registered under the package ``segrepro``.
"""

import keras
import tensorflow as tf

PACKAGE = "segrepro"


def bilinear_filter(factor: int) -> tf.Tensor:
    """Return the filter that makes a transposed convolution of stride ``factor`` a bilinear interpolation.

    As Caffe's filler ``bilinear`` of a kernel of 2 * factor: weights fall linearly from the kernel's centre. Returns
    float32 (2 * factor, 2 * factor), each weight in (0, 1), for an even factor.
    """
    line = 1 - tf.abs(tf.range(2 * factor, dtype=tf.float32) - (factor - 0.5)) / factor
    return line[:, tf.newaxis] * line


@keras.saving.register_keras_serializable(package=PACKAGE)
class BilinearKernel(keras.initializers.Initializer):
    """Kernels of a transposed convolution that interpolate each channel by itself (the diagonal of channels)."""

    def __call__(self, shape, dtype=None):
        """Return a kernel of shape (2 * factor, 2 * factor, channels, channels)."""
        side, channels = shape[0], shape[-1]
        kernel = bilinear_filter(side // 2)[..., tf.newaxis, tf.newaxis] * tf.eye(channels)
        return tf.cast(kernel, dtype or "float32")


@keras.saving.register_keras_serializable(package=PACKAGE)
class BilinearUpsampling(keras.layers.Layer):
    """A transposed convolution of bilinear kernels, fixed: kernel 2 * factor, stride factor, no padding, no bias.

    Extent n becomes (n + 1) * factor. The same as bilinear resizing of a map that has a border of zeros, which is
    how it is computed: a dense kernel of C x C channels, all of them 0 but the diagonal, costs C times as much.

    Args:
        factor: how many times the map grows; even, else pixels fall between the kernel's.
    """

    def __init__(self, factor: int, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        """Upsample (batch, height, width, channels)."""
        x = tf.pad(tf.cast(x, tf.float32), [[0, 0], [1, 1], [1, 1], [0, 0]])
        size = tf.shape(x)[1:3] * self.factor
        x = tf.raw_ops.ResizeBilinear(images=x, size=size, align_corners=False, half_pixel_centers=True)
        half = self.factor // 2
        return tf.cast(x[:, half:-half, half:-half], self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return (batch, (height + 1) * factor, (width + 1) * factor, channels)."""
        batch, *extents, channels = input_shape
        return (batch, *(None if n is None else (n + 1) * self.factor for n in extents), channels)

    def get_config(self):
        """Return the arguments that rebuild the layer."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package=PACKAGE)
class CropLike(keras.layers.Layer):
    """Cut out of a map the part that another map, or the picture, covers.

    Args:
        offset: row and column of the first feature to keep, at least 0.
    """

    def __init__(self, offset: int, **options):
        super().__init__(**options)
        self.offset = offset

    def call(self, inputs):
        """Crop ``inputs[0]`` to the extents of ``inputs[1]``; both (batch, height, width, channels)."""
        x, like = inputs
        extents = tf.shape(like)
        return x[:, self.offset : self.offset + extents[1], self.offset : self.offset + extents[2]]

    def compute_output_shape(self, input_shape):
        """Return batch and channels of the first input, height and width of the second."""
        x, like = input_shape
        return (x[0], like[1], like[2], x[3])

    def get_config(self):
        """Return the arguments that rebuild the layer."""
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable(package=PACKAGE)
class AlignedSum(keras.layers.Layer):
    """Add two maps of the same stride where both are: Caffe's ``Crop`` and ``Eltwise`` in one.

    Args:
        offset: row and column of the second map's feature that lies where the first map's first one does. Negative:
            the first map starts that much further up and left.
    """

    def __init__(self, offset: int, **options):
        super().__init__(**options)
        self.offset = offset

    def call(self, inputs):
        """Add ``inputs[0]`` and ``inputs[1]``, (batch, height, width, channels), over the extent that they share."""
        x, y = inputs
        start_x, start_y = max(0, -self.offset), max(0, self.offset)
        x, y = x[:, start_x:, start_x:], y[:, start_y:, start_y:]
        shared = tf.minimum(tf.shape(x), tf.shape(y))
        return x[:, : shared[1], : shared[2]] + y[:, : shared[1], : shared[2]]

    def compute_output_shape(self, input_shape):
        """Return batch and channels, and the extents that the two maps share."""
        x, y = input_shape
        start_x, start_y = max(0, -self.offset), max(0, self.offset)
        extents = [
            None if m is None or n is None else min(m - start_x, n - start_y)
            for m, n in zip(x[1:3], y[1:3], strict=True)
        ]
        return (x[0], *extents, x[3])

    def get_config(self):
        """Return the arguments that rebuild the layer."""
        return {**super().get_config(), "offset": self.offset}
