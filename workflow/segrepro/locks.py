"""Locks that die with their holder: however a process ends, nothing is left to be unlocked by hand.

They are ``flock`` locks, which the operating system frees, on NFS among all hosts. On a file system without them
(or one that keeps them to one host, such as Lustre mounted with ``localflock``) two processes are not kept apart.
"""

import atexit
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from segrepro.errors import UserError

POLL_SECONDS = 0.5
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class HeldError(Exception):
    """Another process holds the lock; the message is who, as the lock file says: "process 4711 on host"."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, which says by whom it is held and is gone afterwards; may raise `HeldError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stream = stack.enter_context(held_if_possible(path))
        if stream is None:
            print(f"warning: {path}: the file system has no locks; start nothing twice", file=sys.stderr)
            stream = stack.enter_context(path.open("a+"))
            stack.callback(path.unlink, missing_ok=True)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        yield


@contextmanager
def locked_in_turn(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path``; wait as long as another process holds it, and say so once, of ``what``."""
    told = False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path))
                break
            except HeldError as error:
                if not told:
                    print(f"{what}: waiting for {error}, which is at work on it", file=sys.stderr, flush=True)
                told = True
                time.sleep(POLL_SECONDS)
        yield


def hold_run_lock(path: Path) -> None:
    """Hold the lock of a run of the workflow until this process ends; a `UserError` where another run holds it."""
    stack = ExitStack()
    try:
        stack.enter_context(locked(path))
    except HeldError as error:
        raise UserError(
            f"another run, {error}, is at work in {Path.cwd()}; wait for it, stop it, or run in another "
            "folder (--directory)."
        ) from None
    atexit.register(stack.close)


@contextmanager
def held(path: Path, *, among_users: bool = False) -> Iterator[TextIO]:
    """Within the block, hold a lock file as `hold` does; it is gone afterwards."""
    with hold(path, among_users=among_users) as stream:
        try:
            yield stream
        finally:
            with suppress(OSError):  # another user's can only be left
                path.unlink()


@contextmanager
def held_if_possible(path: Path) -> Iterator[TextIO | None]:
    """Within the block, hold a lock file as `held` does, or nothing (None) where the file system has no locks."""
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(held(path))
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            path.unlink(missing_ok=True)
            stream = None
        yield stream


def hold(path: Path, *, among_users: bool = False) -> TextIO:
    """Open the lock file ``path``, made if it is not there, and lock it until what is returned is closed.

    ``among_users``: it may be another user's, in a folder that all may write to, such as /tmp. It is opened to be read
    and no more, which is enough for a lock, and not through a link.

    Raises:
        HeldError: another process holds it.
        OSError: with one of `WITHOUT_LOCKS` where the file system has no locks.
    """
    while True:
        stream = _open_among_users(path) if among_users else path.open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with stream:
                stream.seek(0)
                raise HeldError(stream.read().strip() or "another process") from None
        except OSError:
            stream.close()
            raise
        with suppress(FileNotFoundError):
            if path.stat(follow_symlinks=not among_users).st_ino == os.fstat(stream.fileno()).st_ino:
                return stream
        stream.close()  # its holder removed it just now: take a new one


def _open_among_users(path: Path) -> TextIO:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe of that name must not block
    mask = os.umask(0)  # others must be able to read it from the first moment on
    try:
        while True:
            with suppress(FileExistsError):
                return os.fdopen(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o444))
            # Without O_CREAT, with which Linux refuses other users' files in such folders (fs.protected_regular).
            with suppress(FileNotFoundError):
                return os.fdopen(os.open(path, flags))
    finally:
        os.umask(mask)
