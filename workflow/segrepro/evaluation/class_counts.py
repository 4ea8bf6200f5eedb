"""What IoU is made of: how many pixels of each class agree, are of the truth, and of the prediction.

Counts are sums over pixels, so those of several pictures are added before anything is divided. They are whole numbers
far below 2^53: in float64, sums and products with whole weights are exact, whatever the order or the number of threads.
"""

import numpy as np

from segrepro.labels import VOID

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
    """Reduce confusions (..., classes, classes), rows the truth, to the counts of each class.

    Returns:
        int64, shape (..., 3, classes): `HITS`, `TRUE` and `PREDICTED`.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    sums = (confusions.sum(axis=axis, dtype=np.int64) for axis in (-1, -2))
    return np.stack([hits.astype(np.int64), *sums], axis=-2)


def class_ious(counts: np.ndarray) -> np.ndarray:
    """Return the IoU of each class, of counts (..., 3, classes) that are summed over pictures.

    Returns:
        float64, shape (..., classes), in [0, 1]; NaN where the truth has no such pixel.
    """
    hits, true, predicted = (counts[..., place, :] for place in (HITS, TRUE, PREDICTED))
    return np.where(true > 0, hits / np.where(true > 0, true + predicted - hits, 1), np.nan)


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """Return the mean IoU over the classes that occur in the truth, as `segrepro.evaluation.metrics` takes it.

    Returns:
        float64, of counts (..., 3, classes) shape (...), in [0, 1]; NaN where the truth has no pixel at all.
    """
    return mean_over_classes(class_ious(counts), counts[..., TRUE, :] > 0)


def mean_over_classes(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that are present, the last axis; NaN where none is."""
    classes = present.sum(axis=-1)
    means = np.where(present, values, 0).sum(axis=-1) / np.maximum(classes, 1)
    return np.where(classes > 0, means, np.nan)
