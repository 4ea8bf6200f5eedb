"""The score store: what a system says about each picture of a split, in one HDF5 file.

Layout, as of `segrepro.stores.hdf5`, format version 1::

    /                       attributes: format_version, system, label_space, kind, resize; and code
    /pictures/<id>          one dataset per picture, attributes: height, width (of the picture, in pixels)

``kind`` is

* ``logits`` or ``log_probabilities``: float16 of shape (h, w, classes) at the network's own stride (or a coarser
  storage stride). The softmax over the last axis of the map *after* it is brought to full size by ``resize`` (the
  modes of `segrepro.stores.resize`) gives the probabilities. Which of the two they are matters where raw scores are
  combined (`segrepro.fusion.combine.release_product`).
* ``labels``: uint8 of shape (height, width), for systems that have no probabilities (voting).

Stores of earlier versions have the kind ``scores``, which leaves open which of the first two it is. They are read,
since labels and probabilities are the same either way, and refused where logits are asked for; none are written.

``code`` says which code filled the store, and those that it is made from (`segrepro.stores.codes`); it may be missing.
The compression makes float16 scores 12 % smaller than raw and labels 22 times, for under a millisecond per picture.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from segrepro.errors import UserError
from segrepro.labels import VOC21, LabelSpace, label_space
from segrepro.stores.codes import Written, from_text, to_text
from segrepro.stores.hdf5 import PicturesReader, PicturesWriter
from segrepro.stores.resize import RESIZE_MODES, resize_scores, resized_blocks

LOGITS, LOG_PROBABILITIES, LABELS = KINDS = ("logits", "log_probabilities", "labels")
FLOAT16 = np.finfo(np.float16)
SCORES = "scores"  # of stores of earlier versions: logits or log-probabilities, nobody knows which
CODE = "code"


class ScoreWriter(PicturesWriter):
    """Write a score store.

    Example:
        >>> header = {"system": "fcn", "label_space": "voc21", "kind": "logits", "resize": "half_pixel"}
        >>> with ScoreWriter(path, **header) as store:
        ...     store.add("2007_000033", logits, size=(366, 500))

    ``kind`` is one of `KINDS`; ``resize`` says how stored scores are brought to full size; ``code`` is what
    `segrepro.provenance.code.written_by` says, empty where nobody knows.
    """

    def __init__(
        self, path: Path, *, system: str, label_space: str, kind: str, resize: str, code: Written = ()
    ) -> None:
        self.system = system
        self.space = _space_named(label_space)
        self.kind = _one_of("kind", kind, KINDS, path)
        header = {"system": system, "label_space": self.space.name, "kind": self.kind}
        super().__init__(path, header | {"resize": _one_of("resize", resize, RESIZE_MODES, path), CODE: to_text(code)})

    def add(self, id: str, array: np.ndarray, *, size: tuple[int, int]) -> None:
        """Store the scores or labels of a picture of (height, width) pixels.

        Scores are (h, w, classes), of any float type; values beyond the range of float16 are clipped to it. Labels are
        integers of the picture's size.

        Raises:
            UserError: the array has the wrong shape, NaN or labels outside the label space; the id was added
                before or cannot name a dataset; the disk refused the data.
        """
        where = f"{self.path}: picture '{id}' of system '{self.system}'"
        self._check_id(id, where)
        array = np.asarray(array)
        stored = self._labels(array, size, where) if self.kind == LABELS else self._scores(array, where)
        dataset = self._create(id, shape=stored.shape, dtype=stored.dtype, data=stored)
        dataset.flush()  # the chunk before the attributes, as in a merged store: then the files are equal
        dataset.attrs["height"], dataset.attrs["width"] = size
        self._check_disk()

    def _scores(self, scores: np.ndarray, where: str) -> np.ndarray:
        if scores.ndim != 3 or 0 in scores.shape or scores.shape[2] != len(self.space):
            raise UserError(
                f"{where} has scores of shape {scores.shape}, expected (h, w, {len(self.space)}) for label "
                f"space '{self.space.name}'; give the store the label space that the model was trained in."
            )
        if np.isnan(scores).any():
            raise UserError(f"{where} has NaN among its scores; check the model, its training may have diverged.")
        return np.clip(scores, FLOAT16.min, FLOAT16.max).astype(np.float16)

    def _labels(self, labels: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
        if labels.shape != tuple(size) or 0 in labels.shape or labels.dtype.kind not in "ui":
            raise UserError(
                f"{where} has labels of shape {labels.shape} and type {labels.dtype}, expected integers of "
                f"shape {tuple(size)}; a store of labels is at full size."
            )
        if (wrong := labels[(labels < 0) | (labels >= len(self.space))]).size:
            raise UserError(
                f"{where} has label {wrong[0]}, but label space '{self.space.name}' has 0..{len(self.space) - 1}; a "
                "prediction is never void."
            )
        return labels.astype(np.uint8)


class ScoreReader(PicturesReader):
    """Read a score store; its ``kind`` is one of `KINDS`, or `SCORES`."""

    WHAT = "score store"
    REMEDY = "make it with `segrepro predict`"
    ATTRIBUTES = ("system", "label_space", "kind", "resize")

    def _read_attributes(self, attributes: dict[str, Any]) -> None:
        if not isinstance(attributes["system"], str):
            raise self._stranger("attribute 'system' is no text")
        self.system: str = attributes["system"]
        self.space: LabelSpace = _space_named(attributes["label_space"], self.path)
        self.kind: str = _one_of("kind", attributes["kind"], KINDS, self.path, former=(SCORES,))
        self.resize: str = _one_of("resize", attributes["resize"], RESIZE_MODES, self.path)
        try:
            self.code: Written = from_text(attributes.get(CODE))
        except (TypeError, ValueError):
            raise self._stranger(f"attribute '{CODE}' is damaged") from None
        self._sizes: dict[str, tuple[int, int]] = {}

    def dataset(self, id: str) -> h5py.Dataset:
        """Return the dataset of a picture; refuse one without the store's form: axes, classes, type and size."""
        dataset = self._entry(id)
        if id not in self._sizes:  # once per picture: attributes take as long as a small map
            size = size_of(dataset)
            if fault := self._fault(dataset, size):
                raise self._foreign(id, fault)
            self._sizes[id] = size
        return dataset

    def size(self, id: str) -> tuple[int, int]:
        """Return the (height, width) of a picture, in pixels; raise as `dataset`."""
        if id not in self._sizes:
            self.dataset(id)
        return self._sizes[id]

    def stored(self, id: str) -> np.ndarray:
        """Return a picture's map as it is stored: float16 (h, w, classes), finite, or uint8 (height, width).

        Raises as `dataset` does; damage, scores that are no numbers, and labels of no class are refused too.
        """
        dataset = self.dataset(id)
        try:
            values = dataset[()]
        except OSError as error:
            raise self._damaged(error) from error
        if self.kind != LABELS and not np.isfinite(values).all():
            raise UserError(
                f"'{self.system}' ({self.path}) has NaN or infinity among its scores of picture '{id}'; check its "
                "model, its training may have diverged, and predict again."
            )
        if self.kind == LABELS and (highest := int(values.max())) >= len(self.space):
            raise self._foreign(
                id, f"has label {highest}, where 0..{len(self.space) - 1} are possible (a prediction is never void)"
            )
        return values

    def labels(self, id: str, space: str | None = None) -> np.ndarray:
        """Return the label of each pixel, uint8 (height, width): the argmax at full size (the lowest of equals).

        In another label space than the store's (``"voc21"``), labels are mapped *after* the argmax, as report 2 scored
        its COCO-90 model. Raises as `stored` and `mapping` do.
        """
        table = self.mapping(space)
        stored = self.stored(id)
        if self.kind != LABELS:
            labels = np.empty(self.size(id), np.uint8)
            for top, band in resized_blocks(stored, labels.shape, self.resize):
                labels[top : top + len(band)] = band.argmax(axis=-1)
        else:
            labels = stored
        return labels if table is None else table[labels]

    def probabilities(self, id: str, space: str | None = None) -> np.ndarray:
        """Return the probability of each label at each pixel: float32 (height, width, classes), summing to 1.

        In another label space than the store's (``"voc21"``), those of labels that map to the same are summed. Raises
        as `labels` does, and refuses a store of labels.
        """
        if self.kind == LABELS:
            raise UserError(
                f"{self.path}: system '{self.system}' stores labels (a vote), it has no probabilities; "
                "use a system that stores scores."
            )
        table = self.mapping(space)
        return softmax(resize_scores(self.stored(id), self.size(id), self.resize), table)

    def mapping(self, space: str | None) -> np.ndarray | None:
        """Return the lookup table (uint8, 256) to a label space by name; None where nothing needs mapping.

        A space that is unknown, or to which there is no mapping (all but VOC-21), is refused.
        """
        if space is None or _space_named(space).name == self.space.name:
            return None
        if space != VOC21.name:
            raise UserError(
                f"{self.path}: its label space '{self.space.name}' cannot be mapped to '{space}'; only "
                f"mappings to '{VOC21.name}' exist."
            )
        return self.space.to_voc21

    def _fault(self, dataset: h5py.Dataset | h5py.Group, size: tuple[int, int] | None) -> str | None:
        """Say what is wrong with a map before it is read: stores of others have faults that numpy takes."""
        if not isinstance(dataset, h5py.Dataset):
            return "is no array"
        if size is None:
            return "has no height and width that are whole numbers above 0"
        shape, kind, classes = dataset.shape, dataset.dtype, len(self.space)
        if self.kind == LABELS:
            if shape != size or kind != np.uint8:
                return f"has labels of shape {shape} and type {kind}, where uint8 of shape {size} belong"
        elif len(shape) != 3 or 0 in shape or shape[2] != classes or kind != np.float16:
            return (
                f"has scores of shape {shape} and type {kind}, where float16 of shape (h, w, {classes}) belong in "
                f"label space '{self.space.name}'"
            )
        return None

    def _foreign(self, id: str, fault: str) -> UserError:
        remedy = "write the store again with segrepro.stores.scores.ScoreWriter, which checks it"
        return UserError(f"{self.path}: picture '{id}' of system '{self.system}' {fault}; {remedy}.")


def size_of(dataset: h5py.Dataset | h5py.Group) -> tuple[int, int] | None:
    """Return the (height, width) of a map's picture, in pixels; None where the attributes are no such numbers."""
    sides = [dataset.attrs.get(name) for name in ("height", "width")]
    whole = all(isinstance(side, int | np.integer) and side > 0 for side in sides)
    return (int(sides[0]), int(sides[1])) if whole else None


def softmax(scores: np.ndarray, table: np.ndarray | None = None) -> np.ndarray:
    """Return the probabilities of scores, float32 (h, w, classes), which are overwritten.

    With a table of VOC's labels (`ScoreReader.mapping`), those of labels that map to the same are summed.
    """
    scores -= scores.max(axis=-1, keepdims=True)
    values = np.exp(scores, out=scores)
    if table is not None:
        mapped = np.zeros((*values.shape[:2], len(VOC21)), np.float32)
        for label in range(values.shape[-1]):
            mapped[..., table[label]] += values[..., label]
        values = mapped
    values /= values.sum(axis=-1, keepdims=True)
    return values


def _space_named(name: str, path: Path | None = None) -> LabelSpace:
    try:
        return label_space(name)
    except UserError as error:
        if path is None:
            raise
        raise UserError(f"{path}: {error}") from error


def _one_of(what: str, value: str, allowed: tuple[str, ...], path: Path, *, former: tuple[str, ...] = ()) -> str:
    if value not in (*allowed, *former):
        raise UserError(f"{path}: {what} '{value}' is unknown: use one of {', '.join(allowed)}.")
    return value
