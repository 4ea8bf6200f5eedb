"""How long a process takes until Keras can be used: as it comes, and as `segrepro.environment` has it imported.

    python benchmarks/start.py

Prints the least of five starts each, in seconds of processor time (user and system) and of the clock.
"""

import resource
import subprocess
import sys
import time

STARTS = {
    "as Keras comes": "import keras",
    "as segrepro imports it": "from segrepro.environment import fix_environment; fix_environment(); import keras",
}


def seconds(code: str) -> tuple[float, float]:
    """Return the processor time and the time on the clock of a new process that runs ``code``."""
    used, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, time.monotonic() - since


if __name__ == "__main__":
    for name, code in STARTS.items():
        runs = [seconds(code) for _ in range(5)]
        processor, clock = (min(values) for values in zip(*runs, strict=True))
        print(f"{name:24} {processor:6.2f} s of processor time, {clock:6.2f} s on the clock")
