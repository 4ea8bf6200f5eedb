"""Crops that are sharpened or blurred at random: on report 2's to-do list for its weak classes."""

import tensorflow as tf

from segrepro.config.protocols import Protocol

# Blur of 0.5 to 1.5 pixels: visible, and still short of what hides the parts of an object at these crop sizes.
MIN_SIGMA, MAX_SIGMA = 0.5, 1.5
GAUSSIAN_RADIUS = 4  # pixels; a Gaussian of 1.5 pixels has 99% of its weight inside
# Added to the second half of an example's seed: sharpening draws from a stream of its own, so that switching it on
# changes no crop. Beyond any position of the example stream (2 ** 40).
SHARPNESS_STREAM = 1 << 40


def sharpen_or_blur(picture: tf.Tensor, seed: tf.Tensor, protocol: Protocol) -> tf.Tensor:
    """Sharpen a share of the crops and blur another, by one Gaussian; the rest stays as it is.

    Sharpening adds what the Gaussian takes away (unsharp mask), with a strength of 0.5 to 1.5.
    """
    sharpen, blur = protocol.sharpen_share, protocol.blur_share
    if not sharpen and not blur:
        return picture
    draws = tf.unstack(tf.random.stateless_uniform([3], seed + tf.constant([0, SHARPNESS_STREAM], tf.int64)))
    smooth = _gaussian(picture, MIN_SIGMA + draws[1] * (MAX_SIGMA - MIN_SIGMA))
    sharp = tf.clip_by_value(picture + (0.5 + draws[2]) * (picture - smooth), 0.0, 255.0)
    return tf.where(draws[0] < sharpen, sharp, tf.where(draws[0] < sharpen + blur, smooth, picture))


def _gaussian(picture: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Convolve (H, W, 3) with a Gaussian of ``sigma`` pixels; borders are mirrored."""
    offsets = tf.range(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1, dtype=tf.float32)
    weights = tf.exp(-0.5 * (offsets / sigma) ** 2)
    weights = tf.reshape(tf.tile((weights / tf.reduce_sum(weights))[:, tf.newaxis], [1, 3]), (-1, 1, 3, 1))
    margin = [[GAUSSIAN_RADIUS] * 2] * 2
    padded = tf.pad(picture, [*margin, [0, 0]], mode="REFLECT")[tf.newaxis]
    rows = tf.nn.depthwise_conv2d(padded, weights, [1, 1, 1, 1], "VALID")
    return tf.nn.depthwise_conv2d(rows, tf.transpose(weights, (1, 0, 2, 3)), [1, 1, 1, 1], "VALID")[0]
