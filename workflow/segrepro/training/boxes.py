"""DeconvNet's examples: a box of a picture, resized to a square (aspect not kept), perhaps of one object only."""

import tensorflow as tf

from segrepro.labels import BACKGROUND, VOID


def single_object(mask: tf.Tensor, instances: tf.Tensor, instance: tf.Tensor) -> tf.Tensor:
    """Label one object and call all others background, as stage 1 of DeconvNet does; void stays void.

    ``mask`` has the labels of all objects, ``instances`` the object of each pixel: uint8 (H, W), as the result.
    """
    return tf.where((instances == instance) | (mask == VOID), mask, tf.constant(BACKGROUND, tf.uint8))


def resized_box(picture: tf.Tensor, mask: tf.Tensor, box: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Cut a box out of uint8 (H, W, 3) and (H, W), and resize it to a square: bilinearly, and to the nearest label.

    The box is int32 (4,): x1, y1, x2, y2 in pixels, half-open. It may leave the picture: beside it the picture is 0
    and the label void (DeconvNet release). The result is float32 (size, size, 3) in 0..255 and uint8 (size, size).
    """
    height, width = tf.unstack(tf.shape(mask))
    x1, y1, x2, y2 = tf.unstack(box)
    left, top = tf.maximum(-x1, 0), tf.maximum(-y1, 0)
    borders = [[top, tf.maximum(y2 - height, 0)], [left, tf.maximum(x2 - width, 0)]]
    picture = tf.pad(picture, [*borders, [0, 0]])[y1 + top : y2 + top, x1 + left : x2 + left]
    mask = tf.pad(mask, borders, constant_values=VOID)[y1 + top : y2 + top, x1 + left : x2 + left]
    picture = tf.image.resize(picture, (size, size), method="bilinear")
    mask = tf.image.resize(mask[..., tf.newaxis], (size, size), method="nearest")[..., 0]
    return tf.ensure_shape(picture, (size, size, 3)), tf.ensure_shape(mask, (size, size))
