"""How far a training is, how fast it goes, and how long it still takes."""

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

PROGRESS_SECONDS_IN_LOGS = 10.0
WARM_UP_STEPS = 3  # which trace and compile; of whole pictures the second one does again, for any size
MEASURED_STEPS = 10  # after which the speed is said, once
LONG_SECONDS = 600.0  # what takes less is not worth a plan


class Progress:
    """A bar, the speed in it, and a sentence on it once it is known.

    Steps are begun before the device has done those before: the speed is taken where the training has waited for it.

    Args:
        first: steps that are done already; ``last``: steps of the whole training.
        pictures: examples per step.
        operations: gives the floating-point operations of a step; asked once, where the training is a long one.
        estimate: floating-point operations per second that docs/cost.md counts with.
    """

    def __init__(self, *, first: int, last: int, pictures: int, operations: Callable[[], float], estimate: float):
        self.first, self.last, self.pictures = first, last, pictures
        self.operations, self.estimate = operations, estimate
        self._started: tuple[float, int] | None = None  # time and step at the end of the warm-up
        self._said = False
        interactive = sys.stderr.isatty()
        self.bar = tqdm(
            total=last,
            initial=first,
            unit="step",
            mininterval=0.5 if interactive else PROGRESS_SECONDS_IN_LOGS,
            dynamic_ncols=interactive,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def wants_a_look(self, step: int) -> bool:
        """Say whether the training should wait for the device after this step, for the speed's sake."""
        return step - self.first in (WARM_UP_STEPS, WARM_UP_STEPS + MEASURED_STEPS)

    def after_step(self, step: int, *, waited: bool, loss: float | None) -> None:
        """Move the bar by a step; ``waited``: the device has done them all. ``loss`` is the history's last, if any."""
        if waited:
            self._measure(step, loss)
        self.bar.update(1)

    def _measure(self, step: int, loss: float | None) -> None:
        now = time.monotonic()
        if self._started is None:
            if step - self.first >= WARM_UP_STEPS:
                self._started = (now, step)
            return
        since, begun = self._started
        seconds = (now - since) / (step - begun)
        if seconds <= 0:
            return
        shown = "" if loss is None else f"loss {loss:.3f}, "
        self.bar.set_postfix_str(f"{shown}{self.pictures / seconds:.1f} pictures/s", refresh=False)
        if not self._said and step - begun >= MEASURED_STEPS:
            self._said = True
            self.bar.write(self.sentence(seconds, self.last - step), file=sys.stderr)

    def sentence(self, seconds: float, steps: int) -> str:
        """Return what is measured: seconds per step and how long the steps that are left take.

        Of a long training also what the device does of what docs/cost.md counts with.
        """
        left = seconds * steps
        speed = f"{seconds:.3g} s per step, {self.pictures / seconds:.3g} pictures/s"
        text = f"{speed}: {steps} steps are left, {words(left)}"
        if left < LONG_SECONDS:
            return text
        done = self.operations() / seconds
        return (
            f"{text}; {done / 1e12:.3g} TFLOP/s, {done / self.estimate:.2g} times the {self.estimate / 1e12:g} that "
            "docs/cost.md estimates with"
        )


def words(seconds: float) -> str:
    """Return a duration as people say it: ``about 7 h 05 min``, ``about 12 min``, ``less than a minute``."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"about {minutes // 60} h {minutes % 60:02d} min"
    return f"about {minutes} min" if minutes else "less than a minute"
