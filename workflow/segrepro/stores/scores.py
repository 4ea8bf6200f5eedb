"""The score store: what a system says about each picture of a split, in one HDF5 file.

Layout, format version 1::

    /                       attributes: format_version, system, label_space, kind, resize; and code
    /pictures/<id>          one dataset a picture, attributes: height, width (of the picture, in pixels)

``kind`` is

* ``scores``: float16 of shape (h, w, classes) at the network's own stride (or a coarser storage stride). The
  softmax over the last axis of the map *after* it is brought to full size by ``resize`` (the modes of
  `segrepro.stores.resize`) gives the probabilities: logits, or log-probabilities.
* ``labels``: uint8 of shape (height, width), for systems that have no probabilities (voting).

``code`` says which code filled the store, and those that it is made from (`segrepro.provenance.written`, JSON); stores
without it are read too.

A dataset is one chunk with shuffle, the lightest gzip and a checksum: 12 % smaller than raw on float16 scores,
22 times on labels, for under a millisecond a picture; damage is noticed on reading. No times are stored, so the
same pictures added in the same order give the same bytes.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.labels import VOC21, LabelSpace, label_space
from segrepro.provenance.written import Written, from_text, to_text
from segrepro.stores.hdf5 import FailureKeepingFile
from segrepro.stores.resize import RESIZE_MODES, resize_scores, resized_blocks
from segrepro.stores.score_maps import REMEDY, form_fault, packed_labels, packed_scores, size_of

FORMAT_VERSION = 1
SCORES = "scores"
LABELS = "labels"
KINDS = (SCORES, LABELS)
ATTRIBUTES = ("format_version", "system", "label_space", "kind", "resize")
CODE = "code"
STORAGE = {"shuffle": True, "compression": "gzip", "compression_opts": 1, "fletcher32": True}


class ScoreWriter:
    """Write a score store; the file takes its name only when the ``with`` block succeeds.

    Example:
        >>> header = {"system": "fcn", "label_space": "voc21", "kind": "scores", "resize": "half_pixel"}
        >>> with ScoreWriter(path, **header) as store:
        ...     store.add("2007_000033", logits, size=(366, 500))

    Args:
        path: the file to write.
        system: the system's name, as the tables show it.
        label_space: name of the label space that the scores or labels are in.
        kind: ``"scores"`` or ``"labels"``.
        resize: how a stored map is brought to full size; of no effect for labels.
        code: which code fills the store, of `segrepro.provenance.written.written_by`; empty: nobody knows.

    Raises:
        UserError: an argument is not one of the allowed names, a map cannot be stored, nothing was added, or
            the disk refused the data.
    """

    def __init__(
        self, path: Path, *, system: str, label_space: str, kind: str, resize: str, code: Written = ()
    ) -> None:
        self.path = Path(path)
        self.system = system
        self.space = _space_named(label_space)
        self.kind = _one_of("kind", kind, KINDS)
        self.resize = _one_of("resize", resize, RESIZE_MODES)
        self.code = code
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            try:
                self._disk = stack.enter_context(FailureKeepingFile(temporary))
            except OSError as error:
                raise UserError(f"{self.path}: cannot be written ({error}); check the folder.") from error
            self._file = stack.enter_context(h5py.File(self._disk, "w"))
            values = (FORMAT_VERSION, self.system, self.space.name, self.kind, self.resize)
            self._file.attrs.update(zip((*ATTRIBUTES, CODE), (*values, to_text(self.code)), strict=True))
            self._pictures = self._file.create_group("pictures")
            self._stack = stack.pop_all()
        return self

    def add(self, id: str, array: np.ndarray, *, size: tuple[int, int]) -> None:
        """Store one picture's scores or labels.

        Args:
            id: the picture's id.
            array: for scores, shape (h, w, classes), any float dtype; values beyond the range of float16 are
                clipped to it. For labels, integers of shape ``size``.
            size: (height, width) of the picture, in pixels.

        Raises:
            UserError: the array has the wrong shape, NaN or labels outside the label space; the id was added
                before or cannot name a dataset; the disk refused the data.
        """
        where = f"{self.path}: picture '{id}' of system '{self.system}'"
        if not id or "/" in id or id == ".":
            raise UserError(f"{where}: an id must be a plain name without '/'; rename the picture.")
        if id in self._pictures:
            raise UserError(f"{where} was added twice; list each picture once.")
        array = np.asarray(array)
        if self.kind == SCORES:
            stored = packed_scores(array, self.space, where=where)
        else:
            stored = packed_labels(array, size, self.space, where=where)
        dataset = self._pictures.create_dataset(id, data=stored, chunks=stored.shape, track_times=False, **STORAGE)
        dataset.flush()  # the chunk before the attributes, as in a merged store: then the files are equal
        dataset.attrs["height"], dataset.attrs["width"] = size
        self._check_disk()
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if not self._count:
                raise UserError(f"{self.path}: no picture was added; check the manifest of the prediction.")
            self._file.close()
            self._check_disk()

    def _check_disk(self) -> None:
        if self._disk.failure is not None:
            raise UserError(
                f"{self.path}: cannot be written ({self._disk.failure.strerror}); check the disk's free space."
            ) from self._disk.failure


class ScoreReader:
    """Read a score store.

    Attributes:
        path: the file.
        system: the system's name.
        space: the label space of the scores or labels.
        kind: ``"scores"`` or ``"labels"``.
        resize: how a stored map is brought to full size.
        code: which code filled the store.
        ids: the ids of the pictures, sorted.

    Raises:
        UserError: the file is missing, truncated, or not a score store of this format.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = self._open()
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> h5py.File:
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such score store; make it with `segrepro predict`.")
        try:
            # No lock: a store is never changed once it has its name, and network file systems often refuse
            # locks.
            return h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise self._damaged(error) from error

    def _read_header(self) -> None:
        attributes = dict(self._file.attrs)
        missing = [name for name in ATTRIBUTES if name not in attributes]
        if missing or not isinstance(self._file.get("pictures"), h5py.Group):
            what = f"attribute '{missing[0]}'" if missing else "group 'pictures'"
            raise UserError(f"{self.path}: not a score store ({what} is missing); make it with `segrepro predict`.")
        if not isinstance(attributes["system"], str):
            raise UserError(f"{self.path}: not a score store (attribute 'system' is no text); {REMEDY}.")
        if str(attributes["format_version"]) != str(FORMAT_VERSION):
            raise UserError(
                f"{self.path}: score store of format {attributes['format_version']}, this version reads "
                f"{FORMAT_VERSION}; predict again."
            )
        self.system: str = attributes["system"]
        self.space: LabelSpace = _space_named(attributes["label_space"], self.path)
        self.kind: str = _one_of("kind", attributes["kind"], KINDS, self.path)
        self.resize: str = _one_of("resize", attributes["resize"], RESIZE_MODES, self.path)
        self.code: Written = self._code_of(attributes.get(CODE))
        self._pictures: h5py.Group = self._file["pictures"]
        self.ids: list[str] = sorted(self._pictures)
        self._known = frozenset(self.ids)
        self._sizes: dict[str, tuple[int, int]] = {}

    def _code_of(self, text: object) -> Written:
        try:
            return from_text(text)
        except (TypeError, ValueError):
            raise UserError(
                f"{self.path}: not a score store (attribute '{CODE}' is damaged); make it with `segrepro predict`."
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def dataset(self, id: str) -> h5py.Dataset:
        """Return the dataset of a picture, whose form is that of the store: axes, classes, type and size.

        Raises:
            UserError: the picture is not in the store, or its map has another form.
        """
        if id not in self._known:
            raise UserError(
                f"{self.path}: picture '{id}' is not among its {len(self.ids)} pictures; predict the manifest again."
            )
        dataset = self._pictures[id]
        if id not in self._sizes:  # once a picture: attributes take as long as a small map
            size = size_of(dataset)
            if fault := form_fault(dataset, size, self.space, labels=self.kind == LABELS):
                raise self._foreign(id, fault)
            self._sizes[id] = size
        return dataset

    def size(self, id: str) -> tuple[int, int]:
        """Return the (height, width) of a picture, in pixels.

        Raises:
            UserError: as `dataset`.
        """
        if id not in self._sizes:
            self.dataset(id)
        return self._sizes[id]

    def stored(self, id: str) -> np.ndarray:
        """Return a picture's map as it is stored: float16 (h, w, classes), finite, or uint8 (height, width).

        Raises:
            UserError: as `dataset`; or the store is damaged, or its scores are no numbers or its labels none of the
                label space.
        """
        dataset = self.dataset(id)
        try:
            values = dataset[()]
        except OSError as error:
            raise self._damaged(error) from error
        if self.kind == SCORES and not np.isfinite(values).all():
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
        """Return the label of each pixel: the argmax of the scores at full size (the lowest label of equals).

        Args:
            id: the picture's id.
            space: None for the store's own label space; ``"voc21"`` maps the labels *after* the argmax, as
                report 2 scored its COCO-90 model.

        Returns:
            uint8 array of shape (height, width).

        Raises:
            UserError: as `stored`; or there is no such mapping.
        """
        table = self.mapping(space)
        stored = self.stored(id)
        if self.kind == SCORES:
            labels = np.empty(self.size(id), np.uint8)
            for top, band in resized_blocks(stored, labels.shape, self.resize):
                labels[top : top + len(band)] = band.argmax(axis=-1)
        else:
            labels = stored
        return labels if table is None else table[labels]

    def probabilities(self, id: str, space: str | None = None) -> np.ndarray:
        """Return the probability of each label at each pixel.

        Args:
            id: the picture's id.
            space: None for the store's own label space; ``"voc21"`` sums the probabilities of the labels that
                map to the same VOC label.

        Returns:
            float32 array of shape (height, width, classes), in [0, 1], summing to 1 over the classes.

        Raises:
            UserError: as `labels`; and the store holds the labels of a voting system.
        """
        if self.kind != SCORES:
            raise UserError(
                f"{self.path}: system '{self.system}' stores labels (a vote), it has no probabilities; "
                "use a system that stores scores."
            )
        table = self.mapping(space)
        values = resize_scores(self.stored(id), self.size(id), self.resize)
        values -= values.max(axis=-1, keepdims=True)
        np.exp(values, out=values)
        if table is not None:
            mapped = np.zeros((*values.shape[:2], len(VOC21)), np.float32)
            for label, voc_label in enumerate(table[: len(self.space)]):
                mapped[..., voc_label] += values[..., label]
            values = mapped
        values /= values.sum(axis=-1, keepdims=True)
        return values

    def mapping(self, space: str | None) -> np.ndarray | None:
        """Return the lookup table (uint8, 256) to a label space by name; None where nothing needs mapping.

        Raises:
            UserError: the name is unknown, or there is no mapping: only VOC-21 can be mapped to.
        """
        if space is None or _space_named(space).name == self.space.name:
            return None
        if space != VOC21.name:
            raise UserError(
                f"{self.path}: its label space '{self.space.name}' cannot be mapped to '{space}'; only "
                f"mappings to '{VOC21.name}' exist."
            )
        return self.space.to_voc21

    def _foreign(self, id: str, fault: str) -> UserError:
        return UserError(f"{self.path}: picture '{id}' of system '{self.system}' {fault}; {REMEDY}.")

    def _damaged(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: damaged, truncated or not a score store ({error}); predict it again.")


def _space_named(name: str, path: Path | None = None) -> LabelSpace:
    try:
        return label_space(name)
    except UserError as error:
        if path is None:
            raise
        raise UserError(f"{path}: {error}") from error


def _one_of(what: str, value: str, allowed: tuple[str, ...], path: Path | None = None) -> str:
    if value not in allowed:
        where = f"{path}: " if path else ""
        raise UserError(f"{where}{what} '{value}' is unknown: use one of {', '.join(allowed)}.")
    return value
