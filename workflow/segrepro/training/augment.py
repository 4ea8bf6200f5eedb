"""Decoding and augmentation of one example, stateless: the same seed gives the same pixels."""

import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.labels import VOID
from segrepro.models.layers import RESIZE_MODES, resize_bilinear
from segrepro.training.sharpness import sharpen_or_blur

BLACK = (0.0, 0.0, 0.0)


def keeps_whole_pixels(protocol: Protocol, fill: tuple[float, float, float]) -> bool:
    """Say whether all that `augment` makes of a picture are integers in 0..255, as the picture has them."""
    interpolated = protocol.scale_range != [1.0, 1.0] or protocol.box_size is not None
    filtered = protocol.sharpen_share or protocol.blur_share
    filled = protocol.crop is not None and any(value != round(value) for value in fill)
    return not (interpolated or filtered or filled)


def decode_picture(path: tf.Tensor) -> tf.Tensor:
    """Read a picture as uint8 (H, W, 3) RGB, a JPEG with the accurate inverse DCT so that decoding is reproducible.

    The kernel of ``decode_jpeg`` goes by the bytes and reads PNGs too (COCO has one), without their transparency.
    """
    picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(picture, (None, None, 3))


def decode_mask(path: tf.Tensor) -> tf.Tensor:
    """Read a single-channel PNG mask as uint8 (H, W); the pixel value is the label."""
    mask = tf.io.decode_png(tf.io.read_file(path), channels=1)
    return tf.ensure_shape(mask, (None, None, 1))[..., 0]


def augment(
    picture: tf.Tensor,
    mask: tf.Tensor,
    seed: tf.Tensor,
    protocol: Protocol,
    *,
    fill: tuple[float, float, float] = BLACK,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale, pad, crop, sharpen or blur, and mirror at random.

    Scaling, cropping and mirroring are those of report 2's code and the DeepLab papers; sharpening and blurring are on
    the report's to-do list.

    Args:
        picture: uint8 (H, W, 3) RGB; or a resized box, float32 (box_size, box_size, 3), see `segrepro.training.boxes`.
        mask: uint8 (H, W).
        seed: int64 (2,); all random draws of this example come from it.
        protocol: how it is trained.
        fill: RGB, 0..255, of a crop beside the picture, where the label is void.

    Returns:
        float32 (crop, crop, 3) in 0..255 and uint8 (crop, crop); whole pictures where the protocol has no crop.
    """
    draws = tf.unstack(tf.random.stateless_uniform([4], seed))
    if protocol.scale_range != [1.0, 1.0]:
        picture, mask = rescale(picture, mask, _scale(draws[0], protocol), protocol.rescale)
    picture = tf.cast(picture, tf.float32)
    if protocol.crop is not None:
        picture, mask = _pad_and_crop(picture, mask, draws[1:3], crop=protocol.crop, fill=fill)
    picture = sharpen_or_blur(picture, seed, protocol)
    if protocol.flip:
        mirrored = draws[3] < 0.5
        picture = tf.where(mirrored, picture[:, ::-1], picture)
        mask = tf.where(mirrored, mask[:, ::-1], mask)
    return picture, mask


def _scale(draw: tf.Tensor, protocol: Protocol) -> tf.Tensor:
    low, high = protocol.scale_range
    step = protocol.scale_step
    if step is None:
        return low + draw * (high - low)
    choices = round((high - low) / step) + 1
    return low + step * tf.floor(draw * choices)


def rescale(picture: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor, mode: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale a picture (H, W, 3) bilinearly and its labels (H, W) to the nearest, both in the same mode.

    The new sides are rounded down to whole pixels. Of the modes (`segrepro.models.layers.RESIZE_MODES`)
    ``align_corners`` is ``preprocess_utils.randomly_scale_image_and_label`` of the DeepLab release, ``legacy`` the
    ``random_rescale_image_and_label`` of report 2's code.
    The result is float32 (H', W', 3) and uint8 (H', W').
    """
    size = tf.cast(tf.shape(picture)[:2], tf.float32) * scale
    size = tf.maximum(tf.cast(size, tf.int32), 1)
    picture = resize_bilinear(picture[tf.newaxis], size, mode)[0]
    labels = mask[tf.newaxis, ..., tf.newaxis]
    mask = tf.raw_ops.ResizeNearestNeighbor(images=labels, size=size, **RESIZE_MODES[mode])[0, ..., 0]
    return picture, mask


def _pad_and_crop(
    picture: tf.Tensor, mask: tf.Tensor, draws: list[tf.Tensor], *, crop: int, fill: tuple[float, float, float]
) -> tuple[tf.Tensor, tf.Tensor]:
    size = tf.shape(mask)
    missing = tf.maximum(crop - size, 0)
    picture = pad_below_and_right(picture, missing, fill)
    mask = tf.pad(mask, [[0, missing[0]], [0, missing[1]]], constant_values=VOID)
    room = tf.cast(size + missing - crop + 1, tf.float32)
    y, x = (tf.cast(draw * room[axis], tf.int32) for axis, draw in enumerate(draws))
    picture = tf.ensure_shape(picture[y : y + crop, x : x + crop], (crop, crop, 3))
    return picture, tf.ensure_shape(mask[y : y + crop, x : x + crop], (crop, crop))


def centre(pixels: tf.Tensor, crop: int) -> tf.Tensor:
    """Return the middle of a picture or mask of known size: (H, W, ...) -> (crop, crop, ...), where H, W >= crop."""
    y, x = (pixels.shape[0] - crop) // 2, (pixels.shape[1] - crop) // 2
    return pixels[y : y + crop, x : x + crop]


def pad_below_and_right(picture: tf.Tensor, missing: tf.Tensor, fill: tuple[float, float, float]) -> tf.Tensor:
    """Add ``missing`` (rows, columns) of one colour: float32 (..., H, W, 3) -> (..., H + rows, W + columns, 3)."""
    borders = [[0, 0]] * (picture.shape.rank - 3) + [[0, missing[0]], [0, missing[1]], [0, 0]]
    # As an offset from the colour, so that one constant serves three channels.
    return tf.pad(picture - tf.constant(fill), borders) + tf.constant(fill)
