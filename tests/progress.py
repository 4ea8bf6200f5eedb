"""Waiting for what a test needs, however fast the machine is."""

import subprocess
import time
from collections.abc import Callable

# Seconds after which a machine does not come to it any more; no test counts on less.
PATIENCE = 600


def wait_until(
    reached: Callable[[], object], what: str, *, process: subprocess.Popen | None = None, every: float = 0.02
) -> None:
    """Return as soon as ``reached()`` is true; ``what`` is said if it never is, or ``process`` ends before."""
    give_up = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < give_up, f"in {PATIENCE} s not: {what}"
        assert process is None or process.poll() is None, f"the process ended before {what}"
        time.sleep(every)
