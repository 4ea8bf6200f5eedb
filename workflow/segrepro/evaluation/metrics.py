"""Metrics of a confusion matrix, as fractions in [0, 1], what they are made of, and the files that hold them.

Averages over classes take the classes that occur in the ground truth. On the full VOC val all 21 occur, so this
is the official mean of the VOC devkit; on a subset without some class, that class is not averaged (predicting
it still costs the classes that it covers). Notation as in Long et al., "Fully Convolutional Networks for
Semantic Segmentation", section 5: n_ij pixels of class i predicted as j, t_i = sum_j n_ij.

IoU is made of three counts per class. They are sums over pixels, so those of several pictures are added before anything
is divided; whole numbers far below 2^53, whose sums and products with whole weights are exact in float64, whatever the
order or the number of threads.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.errors import UserError
from segrepro.json_files import read_json
from segrepro.labels import VOID, LabelSpace

MEASURES = ("miou", "pixel_accuracy", "mean_accuracy", "fw_iou")
NEEDED = ("system", "split", "label_space", "pictures", "classes", "per_class_iou", *MEASURES)
# Places in the counts of a class: pixels that agree, pixels of the truth, pixels of the prediction.
HITS, TRUE, PREDICTED = range(3)


def counts_of_labels(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class in two uint8 label maps of any shape; `VOID` is not counted, in either.

    Returns:
        int64, shape (3, num_classes): `HITS`, `TRUE` and `PREDICTED`.
    """
    parts = (truth[truth == prediction], truth, prediction)
    return np.stack([np.bincount(part.ravel(), minlength=VOID + 1)[:num_classes] for part in parts])


def counts_of_confusions(confusions: np.ndarray) -> np.ndarray:
    """Reduce confusions (..., classes, classes), rows the truth, to those counts: int64 (..., 3, classes)."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    sums = (confusions.sum(axis=axis, dtype=np.int64) for axis in (-1, -2))
    return np.stack([hits.astype(np.int64), *sums], axis=-2)


def class_ious(counts: np.ndarray) -> np.ndarray:
    """Return the IoU of each class, float64 (..., classes), of summed counts (..., 3, classes); NaN without truth."""
    hits, true, predicted = (counts[..., place, :] for place in (HITS, TRUE, PREDICTED))
    return np.where(true > 0, hits / np.where(true > 0, true + predicted - hits, 1), np.nan)


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """Return the mean of `class_ious` over the classes that occur in the truth, float64 (...); NaN where none does."""
    return mean_over_classes(class_ious(counts), counts[..., TRUE, :] > 0)


def mean_over_classes(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that are present, the last axis; NaN where none is."""
    classes = present.sum(axis=-1)
    means = np.where(present, values, 0).sum(axis=-1) / np.maximum(classes, 1)
    return np.where(classes > 0, means, np.nan)


@dataclass(frozen=True)
class Metrics:
    """The metrics of one system on one split."""

    present: np.ndarray  # bool of shape (classes,), the classes that occur in the ground truth
    iou: np.ndarray  # n_ii / (t_i + sum_j n_ji - n_ii), shape (classes,); NaN where the class is not present
    miou: float  # mean IoU over the classes present
    pixel_accuracy: float  # sum_i n_ii / sum_i t_i
    mean_accuracy: float  # mean of n_ii / t_i over the classes present
    fw_iou: float  # frequency-weighted IoU, sum_i t_i IoU_i / sum_i t_i


def metrics(confusion: np.ndarray) -> Metrics:
    """Compute the metrics of a confusion matrix: counts of shape (classes, classes), rows the truth.

    Raises:
        ValueError: the matrix is not square or counts nothing.
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix is square, not of shape {confusion.shape}")
    counts = counts_of_confusions(confusion)
    correct, true, iou = counts[HITS], counts[TRUE], class_ious(counts)
    present = true > 0
    if not present.any():
        raise ValueError("not one pixel has a label other than void")
    return Metrics(
        present=present,
        iou=iou,
        miou=float(iou[present].mean()),
        pixel_accuracy=float(correct.sum() / true.sum()),
        mean_accuracy=float((correct[present] / true[present]).mean()),
        fw_iou=float((true[present] * iou[present]).sum() / true.sum()),
    )


def picture_mious(confusions: np.ndarray) -> np.ndarray:
    """Return the mIoU of each picture, float64 (pictures,), over the classes in its own mask; NaN where all is void."""
    return np.array([metrics(counts).miou if counts.any() else np.nan for counts in confusions])


def summary(confusion: np.ndarray, space: LabelSpace) -> dict[str, Any]:
    """Return the metrics of a confusion matrix in the form of the metrics JSON.

    Returns:
        `MEASURES` as fractions, ``classes`` (how many are averaged), and ``per_class_iou``: class name -> fraction, or
        None where the ground truth has no such pixel.

    Raises:
        ValueError: the matrix has another size than the label space, or counts nothing.
    """
    if confusion.shape != (len(space), len(space)):
        raise ValueError(f"label space '{space.name}' has {len(space)} labels, the confusion {confusion.shape}")
    result = metrics(confusion)
    return {
        **{measure: getattr(result, measure) for measure in MEASURES},
        "classes": int(result.present.sum()),
        "per_class_iou": by_class(result.iou, space),
    }


def by_class(values: np.ndarray, space: LabelSpace) -> dict[str, float | None]:
    """Return a value per label as class name -> value; labels not in use are left out."""
    return {space.classes[label]: or_none(values[label]) for label in space.used_labels}


def or_none(value: float) -> float | None:
    """Return a number as JSON can hold it: None for NaN."""
    return None if np.isnan(value) else float(value)


def read_metrics(paths: list[Path]) -> list[dict[str, Any]]:
    """Read metrics files, keeping their order.

    Raises:
        UserError: a file is missing, not of that form, or two are of the same system and split.
    """
    found: dict[tuple[str, str], Path] = {}
    entries = []
    for path in paths:
        entry = read_json(path, "evaluate it again")
        missing = [key for key in NEEDED if key not in entry]
        if missing:
            raise UserError(f"{path}: key '{missing[0]}' is missing; a metrics file comes from `segrepro evaluate`.")
        system, split = key = entry["system"], entry["split"]
        if key in found:
            raise UserError(
                f"{path}: system '{system}' on '{split}' was given before by {found[key]}; give each pair once."
            )
        found[key] = path
        entries.append(entry)
    return entries
