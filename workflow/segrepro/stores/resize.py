"""Bilinear upsampling of class scores from the network's stride to the picture's size, without TensorFlow.

Linear interpolation is separable, and each output row is a blend of two input rows: horizontally at the small
height first, then row by row at full width. That takes a few milliseconds per picture (33 x 47 x 21 to
375 x 500 x 21: about 5 ms on one core), as fast as two dense matrix products, and uses no BLAS threads:
the result does not depend on the number of threads.
"""

from collections.abc import Iterator

import numpy as np

HALF_PIXEL = "half_pixel"
LEGACY = "legacy"
ALIGN_CORNERS = "align_corners"
RESIZE_MODES = (HALF_PIXEL, LEGACY, ALIGN_CORNERS)

BLOCK_VALUES = 1 << 20  # 4 MB of float32 at a time: stays in the cache between upsampling and argmax


def resize_scores(scores: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    """Upsample (or downsample, without antialiasing) scores (h, w, classes) bilinearly to float32 of (height, width).

    Equal to ``tf.raw_ops.ResizeBilinear`` with the flags of the mode, up to rounding in float32. By the mode, output
    pixel ``i`` of ``N`` lies on the input axis of ``n`` at:

    * ``half_pixel`` (TensorFlow 2, pixel centres): ``(i + 1/2) n/N - 1/2``;
    * ``legacy`` (TensorFlow 1, ``align_corners=False``; what report 2's code did): ``i n/N``;
    * ``align_corners`` (the released DeepLab code): ``i (n - 1)/(N - 1)``.

    Raises:
        ValueError: the mode is unknown, or a size is not positive.
    """
    height, width = size
    resized = np.empty((height, width, scores.shape[2]), np.float32)
    for top, block in resized_blocks(scores, size, mode):
        resized[top : top + len(block)] = block
    return resized


def resized_blocks(scores: np.ndarray, size: tuple[int, int], mode: str) -> Iterator[tuple[int, np.ndarray]]:
    """Upsample as `resize_scores` does, in horizontal bands: what needs only the argmax never holds it all.

    Yields:
        (first row, float32 band of shape (rows, width, classes)); the band's memory is used again for the next.
    """
    height, width = size
    in_height, in_width, classes = scores.shape
    left, right, across = interpolation_taps(in_width, width, mode)
    top, bottom, down = interpolation_taps(in_height, height, mode)
    scores = scores.astype(np.float32)
    rows = scores[:, left] + (scores[:, right] - scores[:, left]) * across[:, None]
    rows = rows.reshape(in_height, width * classes)
    band_rows = min(height, max(1, BLOCK_VALUES // (width * classes)))
    band = np.empty((band_rows, width * classes), np.float32)
    for first in range(0, height, band_rows):
        count = min(band_rows, height - first)
        for row, out in zip(range(first, first + count), band, strict=False):
            np.subtract(rows[bottom[row]], rows[top[row]], out=out)
            out *= down[row]
            out += rows[top[row]]
        yield first, band[:count].reshape(count, width, classes)


def interpolation_taps(in_size: int, out_size: int, mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each output position of one axis, the two input positions (int64) and the weight of the second.

    All three have the shape (out_size,); the weight is float32 in [0, 1].
    """
    if in_size < 1 or out_size < 1:
        raise ValueError(f"cannot resize an axis of {in_size} to {out_size}: sizes must be positive.")
    return taps_at(mapped_positions(np.arange(out_size, dtype=np.float64), out_size, in_size, mode), in_size)


def taps_at(positions: np.ndarray, extent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do what `interpolation_taps` does for any positions on an axis of ``extent``; beside it counts as its ends."""
    positions = np.clip(positions, 0, extent - 1)
    lower = np.floor(positions).astype(np.int64)
    return lower, np.minimum(lower + 1, extent - 1), (positions - lower).astype(np.float32)


def mapped_positions(positions: np.ndarray, extent: int, to_extent: int, mode: str) -> np.ndarray:
    """Return where positions (float64, in pixels) on an axis lie once it is resized, as `resize_scores` says of modes.

    Not clipped to the new axis, so that mappings chain: from picture to scaled picture to score map is the same as
    from picture to score map.
    """
    if mode not in RESIZE_MODES:
        raise ValueError(f"resize mode '{mode}' is unknown: use one of {', '.join(RESIZE_MODES)}.")
    if mode == HALF_PIXEL:
        return (positions + 0.5) * to_extent / extent - 0.5
    if mode == ALIGN_CORNERS:
        return positions * (to_extent - 1) / max(extent - 1, 1)
    return positions * to_extent / extent
