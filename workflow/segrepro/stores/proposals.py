"""The proposals file: for every picture of a manifest the boxes where an object may be, best first.

Layout, HDF5, format version 1::

    /                       attributes: format_version, method, settings (JSON)
    /pictures/<id>          int32 (n, 4): x1, y1, x2, y2 in pixels, half-open, inside the picture; n may be 0

No times are stored, ids are sorted: the same pictures and settings give the same bytes, whatever the number of
processes. `segrepro.data.proposal_search` fills it.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import h5py
import numpy as np

from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.stores.hdf5 import FailureKeepingFile

FORMAT_VERSION = 1
ATTRIBUTES = ("format_version", "method", "settings")
STORAGE = {"shuffle": True, "compression": "gzip", "compression_opts": 1, "fletcher32": True}


class ProposalWriter:
    """Write a proposals file; it takes its name only when the ``with`` block succeeds.

    Example:
        >>> with ProposalWriter(path, method="selective_search", settings={"strategy": "fast"}) as writer:
        ...     writer.add("2007_000033", boxes)

    Args:
        path: the file to write.
        method: name of the method that found the boxes.
        settings: its settings, plain values.

    Raises:
        UserError: nothing was added, a picture's boxes cannot be stored, or the disk refused the data.
    """

    def __init__(self, path: Path, *, method: str, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._header = (FORMAT_VERSION, method, json.dumps(dict(settings), sort_keys=True))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            try:
                self._disk = stack.enter_context(FailureKeepingFile(temporary))
            except OSError as error:
                raise UserError(f"{self.path}: cannot be written ({error}); check the folder.") from error
            self._file = stack.enter_context(h5py.File(self._disk, "w"))
            self._file.attrs.update(zip(ATTRIBUTES, self._header, strict=True))
            self._pictures = self._file.create_group("pictures")
            self._stack = stack.pop_all()
        return self

    def add(self, id: str, boxes: np.ndarray) -> None:
        """Store one picture's boxes.

        Args:
            id: the picture's id.
            boxes: integers (n, 4): x1, y1, x2, y2, half-open, not empty, inside the picture, best first.

        Raises:
            UserError: boxes or id cannot be stored, the id was added before, or the disk refused the data.
        """
        where = f"{self.path}: picture '{id}'"
        if not id or "/" in id or id == ".":
            raise UserError(f"{where}: an id must be a plain name without '/'; rename the picture.")
        if id in self._pictures:
            raise UserError(f"{where} was added twice; list each picture once.")
        boxes = np.asarray(boxes)
        _check_boxes(boxes, where)
        # HDF5 has no chunk without a row, so no boxes are stored plainly.
        storage = {"chunks": boxes.shape, **STORAGE} if len(boxes) else {}
        self._pictures.create_dataset(id, data=boxes.astype(np.int32), track_times=False, **storage)
        self._check_disk()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if not len(self._pictures):
                raise UserError(f"{self.path}: no picture was added; check the manifest of the proposals.")
            self._file.close()
            self._check_disk()

    def _check_disk(self) -> None:
        if self._disk.failure is not None:
            raise UserError(
                f"{self.path}: cannot be written ({self._disk.failure.strerror}); check the disk's free space."
            ) from self._disk.failure


def _check_boxes(boxes: np.ndarray, where: str) -> None:
    if boxes.dtype.kind not in "iu" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(f"{where} has boxes of shape {boxes.shape} and type {boxes.dtype}; give integers (n, 4).")
    if (boxes < 0).any() or (boxes[:, :2] >= boxes[:, 2:]).any():
        raise UserError(f"{where} has a box that is empty or leaves the picture; clip and filter them first.")


class Proposals(Protocol):
    """The boxes of pictures, as `ProposalReader` has them."""

    def boxes(self, id: str) -> np.ndarray:
        """Return a picture's boxes: int32 (n, 4), best first."""


class ProposalReader:
    """Read a proposals file.

    Attributes:
        path: the file.
        method: name of the method that found the boxes.
        settings: its settings.
        ids: the ids of the pictures, sorted.

    Raises:
        UserError: the file is missing, damaged, or not a proposals file of this format.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such proposals file; make it with `segrepro proposals`.")
        try:
            # No lock: the file is never changed once it has its name, and network file systems often refuse locks.
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise self._damaged(error) from error
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        attributes = dict(self._file.attrs)
        missing = [name for name in ATTRIBUTES if name not in attributes]
        if missing or not isinstance(self._file.get("pictures"), h5py.Group):
            what = f"attribute '{missing[0]}'" if missing else "group 'pictures'"
            raise UserError(
                f"{self.path}: not a proposals file ({what} is missing); make it with `segrepro proposals`."
            )
        if attributes["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"{self.path}: proposals file of format {attributes['format_version']}, this version reads "
                f"{FORMAT_VERSION}; make it again with `segrepro proposals`."
            )
        self.method: str = attributes["method"]
        try:
            self.settings: dict[str, Any] = json.loads(attributes["settings"])
        except (TypeError, ValueError):
            raise UserError(
                f"{self.path}: not a proposals file (attribute 'settings' is damaged); make it with "
                "`segrepro proposals`."
            ) from None
        self._pictures: h5py.Group = self._file["pictures"]
        self.ids: list[str] = sorted(self._pictures)
        self._known = frozenset(self.ids)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def boxes(self, id: str) -> np.ndarray:
        """Return a picture's boxes: int32 (n, 4), x1, y1, x2, y2, half-open, best first; n may be 0.

        Raises:
            UserError: the picture is not in the file, its boxes are none, or the file is damaged.
        """
        if id not in self._known:
            raise UserError(
                f"{self.path}: picture '{id}' is not among its {len(self.ids)} pictures; make the proposals of this "
                "manifest with `segrepro proposals`."
            )
        try:
            boxes = self._pictures[id][()] if isinstance(self._pictures[id], h5py.Dataset) else np.array("a group")
        except OSError as error:
            raise self._damaged(error) from error
        _check_boxes(boxes, f"{self.path}: picture '{id}'")
        return boxes.astype(np.int32)

    def _damaged(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: damaged, truncated or not a proposals file ({error}); make it again.")
