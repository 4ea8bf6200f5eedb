"""What a picture's map in a score store must be: checked when it is written, and on every access.

Stores come from elsewhere too, written by the layout of `segrepro.stores.scores` and with faults that numpy takes:
a map of labels of another size, 20 of 21 classes, the label of void.
"""

import h5py
import numpy as np

from segrepro.errors import UserError
from segrepro.labels import LabelSpace

FLOAT16 = np.finfo(np.float16)
REMEDY = "write the store again with segrepro.stores.scores.ScoreWriter, which checks it"


def size_of(dataset: h5py.Dataset | h5py.Group) -> tuple[int, int] | None:
    """Return the (height, width) of a map's picture, in pixels; None where the attributes are no such numbers."""
    sides = [dataset.attrs.get(name) for name in ("height", "width")]
    whole = all(isinstance(side, int | np.integer) and side > 0 for side in sides)
    return (int(sides[0]), int(sides[1])) if whole else None


def form_fault(
    dataset: h5py.Dataset | h5py.Group, size: tuple[int, int] | None, space: LabelSpace, *, labels: bool
) -> str | None:
    """Say what is wrong with a map (of ``labels``, or of scores) before it is read; None where nothing is."""
    if not isinstance(dataset, h5py.Dataset):
        return "is no array"
    if size is None:
        return "has no height and width that are whole numbers above 0"
    if labels:
        if dataset.shape != size or dataset.dtype != np.uint8:
            return f"has labels of shape {dataset.shape} and type {dataset.dtype}, where uint8 of shape {size} belong"
    elif dataset.ndim != 3 or 0 in dataset.shape or dataset.shape[2] != len(space) or dataset.dtype != np.float16:
        return (
            f"has scores of shape {dataset.shape} and type {dataset.dtype}, where float16 of shape "
            f"(h, w, {len(space)}) belong in label space '{space.name}'"
        )
    return None


def packed_scores(scores: np.ndarray, space: LabelSpace, *, where: str) -> np.ndarray:
    """Return scores (h, w, classes) as a store holds them: float16, values beyond its range clipped to it.

    Raises:
        UserError: the shape is another one, or there is NaN; ``where`` is how it calls the map.
    """
    if scores.ndim != 3 or 0 in scores.shape or scores.shape[2] != len(space):
        raise UserError(
            f"{where} has scores of shape {scores.shape}, expected (h, w, {len(space)}) for label "
            f"space '{space.name}'; give the store the label space that the model was trained in."
        )
    if np.isnan(scores).any():
        raise UserError(f"{where} has NaN among its scores; check the model, its training may have diverged.")
    return np.clip(scores, FLOAT16.min, FLOAT16.max).astype(np.float16)


def packed_labels(labels: np.ndarray, size: tuple[int, int], space: LabelSpace, *, where: str) -> np.ndarray:
    """Return labels, integers of the picture's size, as a store holds them: uint8 (height, width).

    Raises:
        UserError: shape or type is another one, or a label is outside the label space; ``where`` is how it calls
            the map.
    """
    if labels.shape != tuple(size) or 0 in labels.shape or labels.dtype.kind not in "ui":
        raise UserError(
            f"{where} has labels of shape {labels.shape} and type {labels.dtype}, expected integers of "
            f"shape {tuple(size)}; a store of labels is at full size."
        )
    wrong = labels[(labels < 0) | (labels >= len(space))]
    if wrong.size:
        raise UserError(
            f"{where} has label {wrong[0]}, but "
            f"label space '{space.name}' has 0..{len(space) - 1}; a prediction is never void."
        )
    return labels.astype(np.uint8)
