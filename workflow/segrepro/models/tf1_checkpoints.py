"""Reading TensorFlow 1 checkpoints wherever they are: by prefix, in a folder, or in the archive they are published in.

A checkpoint of the second format is ``<prefix>.index`` and ``<prefix>.data-00000-of-00001`` (or more of these); one of
the first, as TF-slim's of 2017, is a single file. Both have checksums, which the reader verifies.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow as tf

from segrepro.data.archives import iter_files
from segrepro.errors import UserError

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
# A file of a checkpoint by its name. The graph (.meta) is not read.
PART = re.compile(r"(?P<prefix>.+)\.(?:index|meta|data-\d{5}-of-(?P<count>\d{5}))")
FIRST_FORMAT = re.compile(r".+\.ckpt(?:-\d+)?")
# What TensorFlow's reader raises on bytes that are missing or damaged.
DAMAGE = (tf.errors.OpError, IndexError, ValueError, RuntimeError)


class Checkpoint:
    """Variables of an open checkpoint, read one by one; ``shapes`` has the optimiser's slots too."""

    def __init__(self, prefix: Path, label: str):
        self.label = label
        try:
            self._reader = tf.train.load_checkpoint(str(prefix))
            shapes = self._reader.get_variable_to_shape_map()
        except DAMAGE as error:
            raise self._damaged(error) from error
        self.shapes = {name: tuple(shapes[name]) for name in sorted(shapes)}

    def read(self, name: str) -> np.ndarray:
        """Return a variable's values as float32; damaged ones and others than finite numbers are a `UserError`."""
        try:
            values = self._reader.get_tensor(name)
        except DAMAGE as error:
            raise self._damaged(error) from error
        if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
            raise UserError(f"{self.label}: {name} holds no finite numbers; take another checkpoint.")
        return np.asarray(values, np.float32)

    def _damaged(self, error: Exception) -> UserError:
        reason = str(error).strip().split("\n")[0]
        return UserError(f"{self.label}: is truncated, damaged or no TF1 checkpoint ({reason}); fetch it again.")


@contextmanager
def open_checkpoint(path: str | Path) -> Iterator[Checkpoint]:
    """Open the one checkpoint that a path leads to.

    The path is a checkpoint's prefix (``model.ckpt-30000``), one of its files, a folder, or an archive (.tar.gz, .tgz,
    .tar, .zip) that holds exactly one, at any depth. None or several, or a part that is missing, is a `UserError`.
    """
    path = Path(path)
    if path.is_file() and path.name.endswith(ARCHIVE_SUFFIXES):
        with tempfile.TemporaryDirectory(prefix="segrepro-checkpoint-") as folder:
            unpacked = Path(folder)
            _unpack(path, unpacked)
            yield Checkpoint(_only_prefix(unpacked, str(path)), str(path))
        return
    if path.is_dir():
        path = _only_prefix(path, str(path))
    elif path.is_file() and (part := PART.fullmatch(path.name)):
        path = path.with_name(part["prefix"])
    _check_parts(path, str(path))
    yield Checkpoint(path, str(path))


def _unpack(archive: Path, folder: Path) -> None:
    """Write the checkpoint files of an archive below ``folder``, one numbered folder for each of the archive's."""
    numbers: dict[PurePosixPath, int] = {}
    for member, content in iter_files(archive, lambda name: _is_checkpoint_file(PurePosixPath(name).name)):
        name = PurePosixPath(member)
        target = folder / str(numbers.setdefault(name.parent, len(numbers)))
        target.mkdir(exist_ok=True)
        (target / name.name).write_bytes(content)


def _is_checkpoint_file(name: str) -> bool:
    known = PART.fullmatch(name) or FIRST_FORMAT.fullmatch(name)
    return bool(known) and not name.startswith(".") and not name.endswith(".meta")


def _only_prefix(folder: Path, label: str) -> Path:
    """Return the prefix of the one whole checkpoint in a folder and the folders in it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and _is_checkpoint_file(file.name))
    parts = ((file, PART.fullmatch(file.name)) for file in files)
    prefixes = list(dict.fromkeys(file.with_name(part["prefix"]) if part else file for file, part in parts))
    if not prefixes:
        raise UserError(
            f"{label}: holds no TF1 checkpoint; give the folder or archive with its .index and .data files."
        )
    if len(prefixes) > 1:
        names = ", ".join(prefix.name for prefix in prefixes)
        raise UserError(f"{label}: holds {len(prefixes)} checkpoints ({names}); give the prefix of one of them.")
    _check_parts(prefixes[0], f"{label}, checkpoint {prefixes[0].name}")
    return prefixes[0]


def _check_parts(prefix: Path, label: str) -> None:
    """Check that the files of a checkpoint are all there."""
    siblings = prefix.parent.iterdir() if prefix.parent.is_dir() else ()
    shards = {
        file.name: int(part["count"])
        for file in siblings
        if (part := PART.fullmatch(file.name)) and part["count"] and part["prefix"] == prefix.name
    }
    index = prefix.with_name(f"{prefix.name}.index")
    if not index.is_file():
        if shards:
            raise UserError(f"{label}: its file {index.name} is missing; put it beside {min(shards)}.")
        if not prefix.is_file():
            raise UserError(f"{label}: no such checkpoint; give a prefix, a folder or an archive that holds one.")
        return
    count = max(shards.values(), default=1)
    for number in range(count):
        name = f"{prefix.name}.data-{number:05}-of-{count:05}"
        if name not in shards:
            raise UserError(f"{label}: its file {name} is missing; put it beside {index.name}.")
