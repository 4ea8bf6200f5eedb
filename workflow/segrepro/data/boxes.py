"""Boxes: (x1, y1, x2, y2) in whole pixels, half-open (the width is x2 - x1), x to the right and y down.

A box may leave its picture: DeconvNet enlarges every box, and pads what it cuts with zeros, the labels with void.
"""

import numpy as np

from segrepro.errors import UserError
from segrepro.labels import BACKGROUND, VOID

Box = tuple[int, int, int, int]


def enlarge(boxes: np.ndarray, factor: float) -> np.ndarray:
    """Scale width and height of boxes, int (n, 4) or (4,), by a factor above 0 about their centres, to whole pixels.

    Sides are rounded to the nearest pixel; where a side grows by an odd number, the extra pixel goes to the left or
    top. A box thus becomes the same size wherever it lies. DeconvNet takes 1.2 (arXiv 1505.04366, section 4.2).
    Returns int64 of the same shape. Boxes may leave the picture; none is empty, however small the factor.
    """
    if not factor > 0:
        raise ValueError(f"the factor is {factor}; it must be above 0")
    boxes = np.asarray(boxes, np.int64)
    starts, ends = boxes[..., :2], boxes[..., 2:]
    sides = np.maximum(np.rint((ends - starts) * factor), 1).astype(np.int64)
    starts = (starts + ends - sides) // 2
    return np.concatenate([starts, starts + sides], axis=-1)


def overlaps(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each of n boxes with each of m others: float64 (n, m), in [0, 1]."""
    a = np.asarray(boxes_a, np.int64).reshape(-1, 1, 4)
    b = np.asarray(boxes_b, np.int64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    return shared / np.maximum(areas(a) + areas(b) - shared, 1)  # 0 where both are empty


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return the pixels in each box: int64 of shape (...) for boxes of shape (..., 4)."""
    boxes = np.asarray(boxes, np.int64)
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1)


def tight_boxes(instance_mask: np.ndarray) -> dict[int, Box]:
    """Return the smallest box around each object of an instance mask, by object number.

    An object in several parts (something stands before it) has one box.
    """
    boxes = {}
    for number in np.unique(instance_mask).tolist():
        if number in (BACKGROUND, VOID):
            continue
        inside = instance_mask == number
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        boxes[number] = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return boxes


def cut(array: np.ndarray, box: Box, *, fill: int, name: str) -> np.ndarray:
    """Cut a box, which may leave the picture, out of a picture or mask (height, width[, channels]), into a new array.

    ``fill`` is the value of the pixels outside: 0 for pictures, 255 (void) for masks. Raises as `check_touches` does.
    """
    height, width = array.shape[:2]
    check_touches(box, width, height, name=name)
    x1, y1, x2, y2 = box
    result = np.full((y2 - y1, x2 - x1, *array.shape[2:]), fill, array.dtype)
    inside = array[max(y1, 0) : y2, max(x1, 0) : x2]
    top, left = max(-y1, 0), max(-x1, 0)
    result[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return result


def check_touches(box: Box, width: int, height: int, *, name: str) -> None:
    """Refuse a box that shares no pixel with a picture of ``width`` x ``height`` pixels; ``name`` is the picture's."""
    x1, y1, x2, y2 = box
    if min(x2, width) <= max(x1, 0) or min(y2, height) <= max(y1, 0):
        raise UserError(
            f"{name}: the box {x1},{y1},{x2},{y2} lies outside the {width} x {height} picture; make the manifest again."
        )
