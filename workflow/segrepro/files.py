"""Writing files so that a half-written one never has its final name, and hashing them."""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HASH_BLOCK_BYTES = 1 << 20
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, a limit on a file's size


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    The temporary name keeps the suffix (libraries choose formats by it). When the block raises, or the process is
    told to stop (`segrepro.stopping`), the temporary file is removed and ``path`` is left as it was. What a killed
    process left is removed by the next one.

    Raises:
        OSError: as the block raises it; one of a full disk names ``path`` and the space that was left.
    """
    path = Path(path)
    with _temporary(path, path.suffix) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; it takes the place of ``path`` when the block succeeds.

    Nothing else remains, as with `atomic_path`.
    """
    path = Path(path)
    with _temporary(path, "") as temporary:
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder beside a file to be, on the same disk; it goes with the block, or as `atomic_path` says."""
    with _temporary(Path(beside), ".scratch") as folder:
        folder.mkdir()
        yield folder


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Within the block, an error of a full disk gets the name of what was to be written, and the space left.

    A failed write knows no name, and nobody knows a temporary one.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            if error.errno == errno.ENOSPC:
                free = shutil.disk_usage(path.parent).free / 1e6  # before what is half-written is removed
                error.strerror = f"{os.strerror(error.errno)} ({free:,.1f} MB are free)"
            error.filename = str(path)
        raise


def remove_own_temporaries() -> None:
    """Remove what this process is just writing, before it ends without unwinding."""
    for path in list(_being_written):
        for temporary in path.parent.glob(f"{glob.escape(_temporary_stem(path))}*"):
            _remove(temporary)


_being_written: list[Path] = []
_swept: set[Path] = set()


@contextmanager
def _temporary(path: Path, suffix: str) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = path.with_name(f"{_temporary_stem(path)}{suffix}")
    _being_written.append(path)
    try:
        with full_disk_named(path):
            yield temporary
    finally:
        _being_written.remove(path)
        _remove(temporary)


def _temporary_stem(path: Path) -> str:
    return f".{path.stem}.{socket.gethostname()}.{os.getpid()}.partial"


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes of this host that are gone: they were killed."""
    if folder in _swept:  # once a folder, which may have a file for each picture of COCO
        return
    _swept.add(folder)
    pattern = re.compile(rf"\..+\.{re.escape(socket.gethostname())}\.(\d+)\.partial.*")
    for path in folder.glob(".*.partial*"):
        match = pattern.fullmatch(path.name)
        if match and not _is_alive(int(match[1])):
            _remove(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH  # no permission: it lives, and is somebody else's
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically: same value, same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file, read block by block.

    Args:
        path: the file.
        algorithm: a name that ``hashlib`` knows, e.g. ``"md5"`` or ``"sha256"``.
    """
    digest = hashlib.new(algorithm)
    with Path(path).open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def ids_sha256(ids: list[str]) -> str:
    """Return the sha256 of picture ids: sorted, one a line, newline-ended."""
    return hashlib.sha256("".join(f"{i}\n" for i in sorted(ids)).encode()).hexdigest()
