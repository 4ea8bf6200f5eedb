"""Decoding and augmentation of one example, stateless: the same seed gives the same pixels."""

from typing import Any

import tensorflow as tf

from segrepro.labels import VOID

# ImageNet's mean pixel, RGB (VGG's published mean, which DeepLab's code pads with).
MEAN_PIXEL = (123.68, 116.779, 103.939)


def decode_picture(path: tf.Tensor) -> tf.Tensor:
    """Read a JPEG as uint8 (H, W, 3) RGB, with the accurate inverse DCT so that decoding is reproducible."""
    picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(picture, (None, None, 3))


def decode_mask(path: tf.Tensor) -> tf.Tensor:
    """Read a single-channel PNG mask as uint8 (H, W); the pixel value is the label."""
    mask = tf.io.decode_png(tf.io.read_file(path), channels=1)
    return tf.ensure_shape(mask, (None, None, 1))[..., 0]


def augment(
    picture: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, protocol: dict[str, Any]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale, pad, crop and mirror at random, as report 2's code and the DeepLab papers do.

    Args:
        picture: uint8 (H, W, 3) RGB.
        mask: uint8 (H, W).
        seed: int64 (2,); all random draws of this example come from it.
        protocol: `segrepro.config.Protocol` as a mapping: scale_range, scale_step, crop, flip, pad_picture.

    Returns:
        float32 (crop, crop, 3) in 0..255 and uint8 (crop, crop); beside the picture, zeros or the mean pixel,
        and void.
    """
    draws = tf.unstack(tf.random.stateless_uniform([4], seed))
    picture, mask = _rescale(picture, mask, _scale(draws[0], protocol))
    picture, mask = _pad_and_crop(picture, mask, draws[1], draws[2], protocol)
    if protocol["flip"]:
        mirrored = draws[3] < 0.5
        picture = tf.where(mirrored, picture[:, ::-1], picture)
        mask = tf.where(mirrored, mask[:, ::-1], mask)
    return picture, mask


def _scale(draw: tf.Tensor, protocol: dict[str, Any]) -> tf.Tensor:
    low, high = protocol["scale_range"]
    step = protocol["scale_step"]
    if step is None:
        return low + draw * (high - low)
    choices = round((high - low) / step) + 1
    return low + step * tf.floor(draw * choices)


def _rescale(picture: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    size = tf.cast(tf.shape(picture)[:2], tf.float32) * scale
    size = tf.maximum(tf.cast(size, tf.int32), 1)
    picture = tf.image.resize(picture, size, method="bilinear")
    mask = tf.image.resize(mask[..., tf.newaxis], size, method="nearest")[..., 0]
    return picture, mask


def _pad_and_crop(
    picture: tf.Tensor, mask: tf.Tensor, draw_y: tf.Tensor, draw_x: tf.Tensor, protocol: dict[str, Any]
) -> tuple[tf.Tensor, tf.Tensor]:
    crop = protocol["crop"]
    size = tf.shape(mask)
    missing = tf.maximum(crop - size, 0)
    fill = tf.constant(MEAN_PIXEL if protocol["pad_picture"] == "mean" else (0.0, 0.0, 0.0))
    borders = [[0, missing[0]], [0, missing[1]]]
    # The picture is padded as an offset from the fill, so that one constant serves three channels.
    picture = tf.pad(picture - fill, [*borders, [0, 0]]) + fill
    mask = tf.pad(mask, borders, constant_values=VOID)
    room = tf.cast(size + missing - crop + 1, tf.float32)
    y = tf.cast(draw_y * room[0], tf.int32)
    x = tf.cast(draw_x * room[1], tf.int32)
    picture = tf.ensure_shape(picture[y : y + crop, x : x + crop], (crop, crop, 3))
    return picture, tf.ensure_shape(mask[y : y + crop, x : x + crop], (crop, crop))
