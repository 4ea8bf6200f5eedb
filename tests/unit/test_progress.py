"""The sentence on a training's speed: measured where the training has waited for the device, said once."""

import pytest

from segrepro.training.progress import Progress, words


class _Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr("segrepro.training.progress.time", clock)
    return clock


def never() -> float:
    raise AssertionError("nobody plans for a short training")


def run(clock, progress: Progress, steps: int, *, seconds: float, row_every: int) -> None:
    """Steps that take a while each, the first ten times as long; the device is waited for at rows and looks."""
    with progress:
        for step in range(progress.first + 1, progress.first + steps + 1):
            clock.now += seconds * (10 if step == progress.first + 1 else 1)
            progress.after_step(step, waited=step % row_every == 0 or progress.wants_a_look(step), loss=1.0)


def test_a_long_training_says_its_speed_once_and_holds_it_against_the_estimate(clock, capsys):
    progress = Progress(first=0, last=30_000, pictures=16, operations=lambda: 7.0e12, estimate=10e12)
    run(clock, progress, 60, seconds=0.5, row_every=20)
    said = [line for line in capsys.readouterr().err.split("\n") if "s per step" in line]
    assert [line.rpartition("\r")[2] for line in said] == [
        "0.5 s per step, 32 pictures/s: 29987 steps are left, about 4 h 10 min; 14 TFLOP/s, 1.4 times the 10 that "
        "docs/cost.md estimates with"
    ]


def test_a_short_one_says_how_long_it_takes(clock, capsys):
    progress = Progress(first=40, last=100, pictures=8, operations=never, estimate=10e12)
    run(clock, progress, 60, seconds=2.0, row_every=7)
    assert "2 s per step, 4 pictures/s: 47 steps are left, about 2 min\n" in capsys.readouterr().err


def test_one_that_ends_sooner_says_nothing(clock, capsys):
    run(clock, Progress(first=0, last=8, pictures=8, operations=never, estimate=10e12), 8, seconds=2.0, row_every=2)
    assert "are left" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(20, "less than a minute"), (31, "about 1 min"), (3569, "about 59 min"), (3599, "about 1 h 00 min")],
)
def test_durations_are_said_as_people_do(seconds, said):
    assert words(seconds) == said
