"""Resizing of boxes and their scores, plainly bilinear or antialiased as MATLAB's ``imresize``.

The released inference code of DeconvNet (``inference/util/preprocess_image_bb.m`` and
``inference/generate_EDeconvNet_CRF_results.m``) resizes boxes to the network's input and scores back to the box by
``imresize(.., 'bilinear')``, which widens the triangle of the interpolation where an axis shrinks. Where none shrinks
the two ways are the same.
"""

import tensorflow as tf

from segrepro.models.layers import resize_bilinear
from segrepro.stores.resize import HALF_PIXEL

BILINEAR = "bilinear"


def resized(pixels: tf.Tensor, size: tf.Tensor | tuple[int, int], shrink: str) -> tf.Tensor:
    """Resize a picture or scores (H, W, channels) to float32 (height, width, channels), each 1 or more.

    By ``shrink``: ``bilinear``: two taps per axis, half-pixel centres, as the training's boxes; ``antialias``: MATLAB's
    ``imresize(.., 'bilinear')``, computed in float32 instead of float64.
    """
    if shrink == BILINEAR:
        return resize_bilinear(pixels[tf.newaxis], size, HALF_PIXEL)[0]
    return _imresize(tf.cast(pixels, tf.float32), tf.cast(size, tf.int32))


def _imresize(pixels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resize as MATLAB: pixels beside the picture are its mirror image.

    TensorFlow leaves them out instead; so they are put there, as many as the widened triangle can reach. Its half width
    is ``extent / size`` pixels, and the outermost centre lies ``extent / (2 size) - 1/2`` inside.
    """
    extent = tf.shape(pixels)[:2]
    reach = tf.minimum((extent + 2 * size - 1) // (2 * size) + 1, extent)
    mirrored = tf.pad(pixels, [[reach[0], reach[0]], [reach[1], reach[1]], [0, 0]], mode="SYMMETRIC")
    scale = tf.cast(size / extent, tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=mirrored[tf.newaxis],
        size=size,
        scale=scale,
        translation=-tf.cast(reach, tf.float32) * scale,
        kernel_type="triangle",
        antialias=True,
    )[0]
