"""How a verb ends when it is told to, or when the run that started it is gone.

Schedulers send SIGTERM before they kill (preemption, ``scancel``); a training answers with a checkpoint
(`segrepro.training.trainer`), every other verb by removing what it has half-written. A Snakemake that was killed
leaves its jobs running, which would work beside those of the next run: so a job that knows who started it asks itself
to stop when that process ends.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from segrepro.files import remove_own_temporaries

# Set by the workflow for each job: the process id of the Snakemake that started it.
STARTED_BY = "SEGREPRO_STARTED_BY"
STOPPED = 128 + signal.SIGTERM


@contextmanager
def stops_cleanly() -> Iterator[None]:
    """Within the block, SIGTERM removes what is half-written and ends the process with code 143."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def stop_with(starter: str | None) -> None:
    """Ask this process to stop (SIGTERM) when process ``starter`` (of `STARTED_BY`) ends, if that can be seen."""
    if not starter or not starter.isdecimal() or not hasattr(os, "pidfd_open"):  # Linux has it
        return
    try:
        descriptor = os.pidfd_open(int(starter))
    except ProcessLookupError:  # it has ended before it could be watched
        os.kill(os.getpid(), signal.SIGTERM)
        return
    except OSError:  # an old kernel, a sandbox that forbids it, or 0: it is in another container
        return
    threading.Thread(target=_stop_after, args=(descriptor,), daemon=True).start()


def _stop_after(descriptor: int) -> None:
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)
    watch.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    # No exception: HDF5 may be writing through Python just now, and would swallow it.
    remove_own_temporaries()
    os._exit(STOPPED)
