"""The confusion matrix of two label maps, and the file of every picture's confusion."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.labels import VOID, LabelSpace
from segrepro.stores.same_pictures import refuse_other_pictures


def confusion(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by true and predicted label, 0..num_classes - 1; void (255) in the truth is never counted.

    Returns:
        int64 array of shape (num_classes, num_classes): rows are the truth, columns the prediction.

    Raises:
        ValueError: the shapes differ, or a label is out of range.
    """
    if truth.shape != prediction.shape:
        true, predicted = (" x ".join(map(str, reversed(labels.shape))) for labels in (truth, prediction))
        raise ValueError(f"the mask is {true} and the prediction {predicted}")
    counted = truth != VOID
    truth, prediction = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    for name, labels in (("mask", truth), ("prediction", prediction)):
        if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"the {name} has label {wrong}, the label space has 0..{num_classes - 1}")
    counts = np.bincount(truth * num_classes + prediction, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


@contextmanager
def arrays_of(path: Path, what: str, *, option: str = "") -> Iterator[Mapping[str, np.ndarray]]:
    """Open arrays that ``segrepro evaluate`` wrote (by an option); ``what`` says in messages what the file must be.

    Raises:
        UserError: the file is missing, damaged or holds something else, which the ``with`` block may notice too.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with `segrepro evaluate{option}`.") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not {what} ({error}); evaluate again.") from error


def save_confusions(path: Path, ids: Iterable[str], confusions: np.ndarray) -> None:
    """Write per-picture confusions as compressed ``.npz``, atomically; same values, same bytes.

    The arrays: ``ids`` (n,) of text, ``confusions`` (n, classes, classes) int32, rows the truth.
    """
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, ids=np.array(list(ids), dtype=np.str_), confusions=confusions)


def load_confusions(path: Path) -> tuple[list[str], np.ndarray]:
    """Read what `save_confusions` wrote; a `UserError` where the file is missing, damaged or holds something else."""
    with arrays_of(path, "per-picture confusions") as arrays:
        ids, confusions = arrays["ids"].tolist(), arrays["confusions"]
    if confusions.ndim != 3 or len(ids) != len(confusions):
        raise UserError(f"{path}: not per-picture confusions (shape {confusions.shape}); evaluate again.")
    return ids, confusions


def confusions_of(path: Path, wanted: list[str], space: LabelSpace) -> np.ndarray:
    """Read the confusions of just these pictures, int64 (pictures, classes, classes) in their order.

    Raises:
        UserError: the file cannot be read, or is of other pictures or labels.
    """
    ids, confusions = load_confusions(path)
    refuse_other_pictures(ids, wanted, found_in=path, wanted_in="the manifest", remedy="evaluate again")
    if confusions.shape[1:] != (len(space), len(space)):
        raise UserError(f"{path}: not of label space '{space.name}'; evaluate again.")
    place = {id: number for number, id in enumerate(ids)}
    return confusions[[place[id] for id in wanted]].astype(np.int64)
