"""A file for HDF5 to write to, which survives a full disk.

When a write fails inside the HDF5 library (no space left, quota), h5py reports some failures and swallows
others, and the process may crash while it closes the file: measured with h5py 3.14 (HDF5 1.14). Given a Python
file object, HDF5 writes through it; so this object keeps the failure to itself, lets HDF5 go on, and its owner
asks after every step whether a write has failed.
"""

import io
from typing import Any


class FailureKeepingFile(io.FileIO):
    """An unbuffered file for ``h5py.File(file, "w")`` that keeps its first failed write instead of raising it.

    Attributes:
        failure: the first error of a write, or None. After a failure nothing more is written.
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
