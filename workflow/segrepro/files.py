"""Writing files so that a half-written one never has its final name, and hashing them."""

import csv
import errno
import glob
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from segrepro.locks import HeldError, held_if_possible, hold

LOCK_SUFFIX = ".lock"
# Of a temporary file: what it is to be, host and process; a name and a host may both have dots.
LEFTOVER = re.compile(r"(\..+)\.(\d+)\.partial.*")
# How long a temporary file of another host, of which no lock is to be seen, must have been left alone to be taken for
# one of a killed process: file systems may keep locks to one host.
QUIET_SECONDS = 3600
# What a temporary name adds to a file's own: names must leave room for it.
LONGEST_ADDITION = len(f"..{socket.gethostname()}.{2**22}.partial.former{LOCK_SUFFIX}")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, a limit on a file's size


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    The temporary name keeps the suffix (libraries choose formats by it). When the block raises, or the process is
    told to stop (`segrepro.stopping`), the temporary file is removed and ``path`` is left as it was. What a killed
    process left is removed by the next one that writes to the folder. Where ``path`` is a link, all this is done
    where it leads to: the user chose that disk.

    Raises:
        OSError: as the block raises it; one of a full disk names ``path`` and the space that was left.
    """
    path = real_path(path)
    with _temporary(path, path.suffix) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; it takes the place of ``path`` when the block succeeds.

    Nothing else remains, as with `atomic_path`. The files are on the disk before the folder gets its name, and a
    former one makes place by a rename: a large folder takes minutes to remove, and a kill in them would leave half.
    """
    path = real_path(path)
    with _temporary(path, "") as temporary:
        temporary.mkdir()
        yield temporary
        os.sync()  # a call for each of COCO's files would take longer
        former = temporary.with_name(f"{temporary.name}.former")
        if path.exists():
            path.replace(former)
        try:
            temporary.replace(path)
        except OSError:
            if former.exists():
                former.replace(path)
            raise
        _remove(former)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Give an empty folder beside a file to be, on the same disk; it goes with the block, or as `atomic_path` says."""
    with _temporary(real_path(beside), ".scratch") as folder:
        folder.mkdir()
        yield folder


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Within the block, an error of a full disk gets the space left and the name of what was to be written.

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
    # A file of its own: libraries make the temporary one themselves, and HDF5 locks it.
    lock = temporary.with_name(f"{temporary.name}{LOCK_SUFFIX}")
    _being_written.append(path)
    try:
        with full_disk_named(path), held_if_possible(lock):
            yield temporary
    finally:
        _being_written.remove(path)
        _remove(temporary)


def _temporary_stem(path: Path) -> str:
    return f".{path.stem}.{socket.gethostname()}.{os.getpid()}.partial"


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that are gone: they were killed."""
    if folder in _swept:  # once per folder, which may have a file for each picture of COCO
        return
    _swept.add(folder)
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in folder.glob(".*.partial*"):
        if match := LEFTOVER.fullmatch(path.name):
            groups.setdefault(match.groups(), []).append(path)
    for (name, process), paths in groups.items():
        here = name.endswith(f".{socket.gethostname()}")
        if not (here and int(process) == os.getpid()) and _are_left(paths, int(process), here=here):
            for path in sorted(paths, key=_is_lock):  # locks last: without one, nothing is known of the rest
                _remove(path)


def _is_lock(path: Path) -> bool:
    return path.name.endswith(LOCK_SUFFIX)


def _are_left(paths: list[Path], process: int, *, here: bool) -> bool:
    """Say whether the process that was writing these files (and their locks) is gone.

    ``here``: it was one of this host, or seemed to be, in a container.
    """
    locks = list(filter(_is_lock, paths))
    if not locks:
        return here and not _is_alive(process)
    # Of another host, a lock that is free may be one that the file system does not show here.
    return _are_free(locks) and (here or _are_quiet(paths))


def _are_free(locks: list[Path]) -> bool:
    """Say whether nobody holds any of these locks."""
    with ExitStack() as stack:
        for lock in locks:
            try:
                stack.enter_context(hold(lock))
            except (HeldError, OSError):  # of a file system that has no locks, of another user
                return False
    return True


def _are_quiet(paths: list[Path]) -> bool:
    """Say whether nothing was written to these files and folders for `QUIET_SECONDS`."""
    files = [file for path in paths for file in ([path, *path.rglob("*")] if path.is_dir() else [path])]
    try:
        return time.time() - max(file.stat().st_mtime for file in files) > QUIET_SECONDS
    except FileNotFoundError:  # somebody is just removing them
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH  # no permission: it lives, and is somebody else's
    return True


def real_path(path: Path) -> Path:
    """Return a path without links; `Path.resolve` would raise RuntimeError for a link in a circle."""
    return Path(os.path.realpath(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
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


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV, atomically, each row as it comes: a manifest may have millions."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(itertools.chain([header], rows))


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file by an algorithm of ``hashlib``."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def ids_sha256(ids: list[str]) -> str:
    """Return the sha256 of picture ids: sorted, one per line, newline-ended."""
    return hashlib.sha256("".join(f"{i}\n" for i in sorted(ids)).encode()).hexdigest()
