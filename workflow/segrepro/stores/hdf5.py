"""HDF5 files with one dataset per picture: what score stores and proposals files have in common.

Layout::

    /                       attributes: format_version, and what the kind of file declares
    /pictures/<id>          one dataset per picture

A dataset is one chunk with shuffle, the lightest gzip and a checksum: damage is noticed on reading. No times are
stored, so that the same pictures added in the same order give the same bytes.

When a write fails inside the HDF5 library (no space left, quota), h5py reports some failures and swallows
others, and the process may crash while it closes the file: measured with h5py 3.14 (HDF5 1.14). Given a Python
file object, HDF5 writes through it; so `FailureKeepingFile` keeps the failure to itself, lets HDF5 go on, and the
writer asks after every step whether a write has failed.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import h5py
import numpy as np

from segrepro.errors import UserError
from segrepro.files import atomic_path

FORMAT_VERSION = 1
STORAGE = {"shuffle": True, "compression": "gzip", "compression_opts": 1, "fletcher32": True}


class FailureKeepingFile(io.FileIO):
    """An unbuffered file for ``h5py.File(file, "w")`` that keeps its first failed write instead of raising it.

    After a failure nothing more is written.
    """

    def __init__(self, path: Any) -> None:
        super().__init__(path, "w+")
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``, or remember why not; say that all was written."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self.failure is None and written < len(view):
                written += super().write(view[written:])
        except OSError as error:
            self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size, or remember why not."""
        try:
            if self.failure is None:
                return super().truncate(size)
        except OSError as error:
            self.failure = error
        return self.tell() if size is None else size


class PicturesWriter:
    """Write such a file, with these attributes.

    It takes its name only when the ``with`` block succeeds, something was added, and the disk took the data.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._attributes = {"format_version": FORMAT_VERSION, **attributes}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            try:
                self._disk = stack.enter_context(FailureKeepingFile(temporary))
            except OSError as error:
                raise UserError(f"{self.path}: cannot be written ({error}); check the folder.") from error
            self._file = stack.enter_context(h5py.File(self._disk, "w"))
            self._file.attrs.update(self._attributes)
            self._pictures = self._file.create_group("pictures")
            self._stack = stack.pop_all()
        return self

    def _check_id(self, id: str, where: str) -> None:
        """Refuse an id that cannot name a dataset or was added before; ``where`` is how messages call the picture."""
        if not id or "/" in id or id == ".":
            raise UserError(f"{where}: an id must be a plain name without '/'; rename the picture.")
        if id in self._pictures:
            raise UserError(f"{where} was added twice; list each picture once.")

    def _create(
        self, id: str, *, shape: tuple[int, ...], dtype: np.dtype, data: np.ndarray | None = None
    ) -> h5py.Dataset:
        # HDF5 has no chunk without a row, so an empty array is stored plainly.
        storage = {"chunks": shape, **STORAGE} if 0 not in shape else {}
        return self._pictures.create_dataset(id, shape, dtype, data, track_times=False, **storage)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if not len(self._pictures):
                raise UserError(f"{self.path}: no picture was added; check the manifest that it is made from.")
            self._file.close()
            self._check_disk()

    def _check_disk(self) -> None:
        if self._disk.failure is not None:
            raise UserError(
                f"{self.path}: cannot be written ({self._disk.failure.strerror}); check the disk's free space."
            ) from self._disk.failure


class PicturesReader(ABC):
    """Read such a file, or refuse one that is damaged or of another kind; ``ids`` are its pictures', sorted."""

    WHAT: ClassVar[str]  # what messages call the file
    REMEDY: ClassVar[str]  # what to do where it cannot be read
    ATTRIBUTES: ClassVar[tuple[str, ...]]  # that it must have besides the format's version

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such {self.WHAT}; {self.REMEDY}.")
        try:
            # No lock: the file is never changed once it has its name, and network file systems often refuse locks.
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise self._damaged(error) from error
        try:
            self._check_form()
            self._read_attributes(dict(self._file.attrs))
        except BaseException:
            self._file.close()
            raise
        self._pictures: h5py.Group = self._file["pictures"]
        self.ids: list[str] = sorted(self._pictures)
        self._known = frozenset(self.ids)

    def _check_form(self) -> None:
        missing = [name for name in ("format_version", *self.ATTRIBUTES) if name not in self._file.attrs]
        if missing:
            raise self._stranger(f"attribute '{missing[0]}' is missing")
        if not isinstance(self._file.get("pictures"), h5py.Group):
            raise self._stranger("group 'pictures' is missing")
        if str(version := self._file.attrs["format_version"]) != str(FORMAT_VERSION):
            raise UserError(
                f"{self.path}: {self.WHAT} of format {version}, this version reads {FORMAT_VERSION}; {self.REMEDY}."
            )

    @abstractmethod
    def _read_attributes(self, attributes: dict[str, Any]) -> None:
        """Take the attributes of this kind of file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _entry(self, id: str) -> h5py.Dataset | h5py.Group:
        """Return what is stored of a picture; a `UserError` where it is not in the file, or damaged."""
        if id not in self._known:
            raise UserError(
                f"{self.path}: picture '{id}' is not among its {len(self.ids)} pictures; {self.REMEDY}, from the "
                "manifest that lists it."
            )
        try:
            return self._pictures[id]
        except KeyError as error:  # it is listed, and its header is damaged
            raise self._damaged(error) from error

    def _stranger(self, fault: str) -> UserError:
        return UserError(f"{self.path}: not a {self.WHAT} ({fault}); {self.REMEDY}.")

    def _damaged(self, error: OSError | KeyError) -> UserError:
        return UserError(f"{self.path}: damaged, truncated or not a {self.WHAT} ({error}); {self.REMEDY}.")
