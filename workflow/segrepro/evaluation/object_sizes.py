"""IoU by the size of the objects: which objects a system loses, the small ones or the large.

A semantic segmentation has no objects, the truth has. An object's IoU is that of Wang et al., "Revisiting Evaluation
Metrics for Semantic Segmentation" (NeurIPS 2023, Datasets and Benchmarks), mIoU^K: its pixels that have its class in
the prediction, over its pixels and its share of the picture's false positives of that class, which are shared among the
class' objects in proportion to their sizes. The mean is taken over a class' objects, then over classes. Here both
means are of objects in a range of sizes. False positives in pictures without an object of their class are
in mIoU and not in this.

The objects are those of the instance mask (VOC, SBD) where there is one beside the mask, otherwise the
8-connected regions of one class, which splits objects that others cover and joins those that touch. An object is of
the class of most of its pixels, as in DeconvNet's examples; its size is the number of these: void is not part of it.
"""

import itertools

import cv2
import numpy as np

from segrepro.evaluation.metrics import HITS, PREDICTED, TRUE, counts_of_labels
from segrepro.labels import BACKGROUND, VOID

# An IoU is kept as a whole number of these: sums of whole numbers are exact in any order.
UNITS = 1_000_000


def size_counts(
    truth: np.ndarray,
    prediction: np.ndarray,
    num_classes: int,
    *,
    sides: tuple[int, ...],
    instances: np.ndarray | None = None,
) -> np.ndarray:
    """Count a picture's objects by size and class, and sum up their IoUs.

    Args:
        truth: uint8 labels or void, shape (height, width).
        prediction: uint8 labels, the same shape; its value under void is free.
        num_classes: number of labels.
        sides: where ranges of sizes meet, as the side of a square in pixels, increasing; an object of just that size is
            in the upper range.
        instances: uint8, the same shape: 0 background, 1.. objects, 255 void; None where there is no instance mask.

    Returns:
        int64, shape (2, len(sides) + 1, num_classes): the number of objects, and the sum of their IoUs in 1/`UNITS`.
    """
    prediction = np.where(truth == VOID, np.uint8(VOID), prediction)
    parts = _components(truth) if instances is None else [np.where(instances == VOID, 0, instances)]
    found = [_overlaps(part, truth, prediction) for part in parts]
    labels, areas, hits = (np.concatenate([entry[column] for entry in found]) for column in range(3))
    totals = counts_of_labels(truth, prediction, num_classes)
    false = (totals[PREDICTED] - totals[HITS])[labels] * areas / np.maximum(totals[TRUE], 1)[labels]
    ious = np.rint(UNITS * hits / (areas + false)).astype(np.int64)
    counts = np.zeros((2, len(sides) + 1, num_classes), np.int64)
    ranges = np.searchsorted(np.square(sides), areas, side="right")
    np.add.at(counts[0], (ranges, labels), 1)
    np.add.at(counts[1], (ranges, labels), ious)
    return counts


def _components(truth: np.ndarray) -> list[np.ndarray]:
    """Number the connected regions of each class that occurs: int32 maps, 0 elsewhere."""
    labels = [label for label in np.unique(truth) if label not in (BACKGROUND, VOID)]
    maps = [cv2.connectedComponents((truth == label).astype(np.uint8), connectivity=8)[1] for label in labels]
    return maps or [np.zeros(truth.shape, np.int32)]


def _overlaps(numbers: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return class, size and number of rightly predicted pixels of each object of a map: int64, shape (objects,)."""
    counted = (numbers != 0) & (truth != VOID)
    keys = numbers[counted].astype(np.int64) * (VOID + 1) + truth[counted]
    size = (int(numbers.max(initial=0)) + 1) * (VOID + 1)
    right = (truth == prediction)[counted]
    areas, hits = (np.bincount(part, minlength=size).reshape(-1, VOID + 1) for part in (keys, keys[right]))
    labels = areas.argmax(axis=1)
    objects = np.flatnonzero(areas.any(axis=1) & (labels != BACKGROUND))
    labels = labels[objects]
    return labels, areas[objects, labels], hits[objects, labels]


def size_names(sides: tuple[int, ...]) -> list[str]:
    """Name the ranges of sizes: ``< 32²``, ``32²–96²``, ``≥ 96²``."""
    bounds = [f"{side}\N{SUPERSCRIPT TWO}" for side in sides]
    middle = [f"{low}\N{EN DASH}{high}" for low, high in itertools.pairwise(bounds)]
    return [f"< {bounds[0]}", *middle, f"\N{GREATER-THAN OR EQUAL TO} {bounds[-1]}"]
