"""Metrics from a confusion matrix, as fractions in [0, 1].

Averages over classes take the classes that occur in the ground truth. On the full VOC val all 21 occur, so this
is the official mean of the VOC devkit; on a subset without some class, that class is not averaged (predicting
it still costs the classes that it covers). Notation as in Long et al., "Fully Convolutional Networks for
Semantic Segmentation", section 5: n_ij pixels of class i predicted as j, t_i = sum_j n_ij.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from segrepro.evaluation.class_counts import HITS, TRUE, class_ious, counts_of_confusions
from segrepro.labels import LabelSpace


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
    """Return the metrics of a confusion matrix in the form of the metrics JSON, with the label space's class names.

    Returns:
        ``miou``, ``pixel_accuracy``, ``mean_accuracy`` and ``fw_iou`` as fractions, ``classes`` (how many are
        averaged), and ``per_class_iou``: class name -> fraction, or None where the ground truth has no such
        pixel.

    Raises:
        ValueError: the matrix has another size than the label space, or counts nothing.
    """
    if confusion.shape != (len(space), len(space)):
        raise ValueError(f"label space '{space.name}' has {len(space)} labels, the confusion {confusion.shape}")
    result = metrics(confusion)
    return {
        "miou": result.miou,
        "pixel_accuracy": result.pixel_accuracy,
        "mean_accuracy": result.mean_accuracy,
        "fw_iou": result.fw_iou,
        "classes": int(result.present.sum()),
        "per_class_iou": {
            space.classes[label]: float(result.iou[label]) if result.present[label] else None
            for label in space.used_labels
        },
    }
