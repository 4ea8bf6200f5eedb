"""One function over many pictures in several processes: bounded memory, one progress bar, no orphans."""

import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, forkserver
from typing import Any, TypeVar

from tqdm import tqdm

from segrepro.environment import variables
from segrepro.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that wait for each process: enough to keep it busy while the parent reads, little enough for memory
# (a COCO picture with its annotations is about 0.2 MB).
LOOK_AHEAD = 8

# The path of a socket may have 108 bytes with the 0 at its end; multiprocessing adds /pymp-xxxxxxxx/listener-xxxxxxxx.
SOCKET_PATH_BYTES = 107
SOCKET_NAME_BYTES = 32

# N processes with N BLAS threads each would fight for the cores; the pools are sized at import.
SINGLE_THREADED_BLAS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# A bar redrawn ten times a second makes a log file unreadable.
SECONDS_BETWEEN_LOG_LINES = 10.0


def progress_bar(
    label: str, *, total: int | None = None, unit: str = "pictures", initial: int = 0, scaled: bool = False
) -> tqdm:
    """Return a progress bar on stderr with rate and remaining time; sparse when stderr is no terminal.

    ``initial`` are done already; numbers that are ``scaled`` have a metric prefix: 40.0kB.
    """
    interval = 0.1 if sys.stderr.isatty() else SECONDS_BETWEEN_LOG_LINES
    shown = {"initial": initial, "unit": unit if scaled else f" {unit}", "unit_scale": scaled}
    return tqdm(total=total, desc=label, mininterval=interval, miniters=1 if scaled else None, file=sys.stderr, **shown)


def map_in_processes(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    threads: int,
    label: str,
    total: int | None = None,
    unit: str = "pictures",
) -> list[Result]:
    """Call ``function`` for every task; results come back in the order of the tasks.

    ``tasks`` may be a generator that reads as it goes: at most `LOOK_AHEAD` tasks per process are taken ahead of
    the work. With one thread everything happens in this process. Otherwise the processes come from a fork
    server, which has imported the function's module and nothing else: they stay small whatever the caller
    holds in memory, and share the library code. They end when the caller does, even by ``kill -9``.

    ``function`` is a module-level function or a `functools.partial` of one, and tasks can be pickled. The progress bar
    says ``label`` and counts ``unit``, ``total`` of them where known.

    Raises:
        UserError: as ``function`` raises it (for the first such task), or a process was killed.
    """
    if threads < 1:
        raise UserError(f"--threads {threads}: use 1 or more.")
    with progress_bar(label, total=total, unit=unit) as bar:
        if threads == 1 or total == 1:
            results = map(function, tasks)
        else:
            results = _bounded_map(function, tasks, min(threads, total or threads))
        collected = []
        for result in results:
            collected.append(result)
            bar.update()
    return collected


def _bounded_map(function: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    remaining = iter(tasks)
    module = getattr(function, "func", function).__module__  # of the function in a partial
    workers = _fork_server(module)
    pool = ProcessPoolExecutor(processes, mp_context=workers, initializer=_start_worker)
    try:
        waiting = deque(pool.submit(function, task) for task in itertools.islice(remaining, processes * LOOK_AHEAD))
        while waiting:
            result = waiting.popleft().result()
            for task in itertools.islice(remaining, 1):
                waiting.append(pool.submit(function, task))
            yield result
    except BrokenProcessPool as error:
        raise UserError(_end_of_worker(workers.started)) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_of_worker(workers: list[multiprocessing.process.BaseProcess]) -> str:
    """Say how a worker ended; the pool has sent SIGTERM to the others."""
    for worker in workers:
        worker.join()
    by_itself = [-w.exitcode for w in workers if w.exitcode and w.exitcode not in (-signal.SIGTERM, -signal.SIGKILL)]
    if by_itself and by_itself[0] > 0:
        return (
            f"a worker process was ended by {signal.Signals(by_itself[0]).name}, inside a library; look whether the "
            "numbers that it was given are extreme, and report it with this command if they are not."
        )
    return (
        "a worker process was killed, most likely because memory ran out; "
        "run again with fewer --threads or more memory."
    )


class _ForkServer(multiprocessing.context.ForkServerContext):
    """Remembers its processes, which a pool forgets as soon as one of them has ended."""

    def __init__(self) -> None:
        self.started: list[multiprocessing.process.BaseProcess] = []

    def Process(self, *args: Any, **options: Any) -> multiprocessing.process.BaseProcess:  # noqa: N802 - as its base
        self.started.append(super().Process(*args, **options))
        return self.started[-1]


def _fork_server(module: str) -> _ForkServer:
    context = _ForkServer()
    context.set_forkserver_preload([module])
    with variables(SINGLE_THREADED_BLAS), _short_temporary_folder():
        forkserver.ensure_running()
    return context


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """Where TMPDIR is too long for the path of a socket (job folders of clusters), name another folder for this one."""
    before = tempfile.gettempdir()
    if len(os.fsencode(before)) + SOCKET_NAME_BYTES > SOCKET_PATH_BYTES:
        writable = [folder for folder in ("/tmp", "/var/tmp", "/dev/shm") if os.access(folder, os.W_OK | os.X_OK)]
        if not writable:
            raise UserError(
                f"TMPDIR {before}: the name is too long for a socket, which several processes need; give a folder with "
                f"at most {SOCKET_PATH_BYTES - SOCKET_NAME_BYTES} bytes in its name, or --threads 1."
            )
        tempfile.tempdir = writable[0]
    try:
        yield
    finally:
        tempfile.tempdir = before


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle, once
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)  # the parent is gone, there is nobody to report to
