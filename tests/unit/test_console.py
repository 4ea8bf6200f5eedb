"""What a run prints: its lines from Snakemake's records, and the time that is left."""

import io
import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from segrepro.console import EXPECTED, Console, Progress, duration, hides


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def record(event: LogEvent | None, message: str = "", level: int = logging.INFO, **fields) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update({"event": event} if event else {}, **fields)
    return made


@pytest.fixture
def console():
    clock = Clock()
    progress = Progress({"train": 2, "predict": 1}, cores=2, estimates=True, now=clock)
    return Console(progress, io.StringIO()), clock


def started(job: int, rule: str, log: str, **wildcards: str) -> logging.LogRecord:
    return record(LogEvent.JOB_INFO, jobid=job, rule_name=rule, wildcards=wildcards, log=[log])


def test_a_line_says_which_job_has_ended_and_how_far_the_whole_is(console):
    handler, clock = console
    handler.emit(started(7, "predict", "p.log", system="fcn8s", split="voc_val"))
    clock.seconds = 70
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=7))
    assert handler.stream.getvalue() == "[2 min, 1 of 3 jobs] predict fcn8s voc_val (2 min)\n"


def test_a_training_is_announced_with_its_log(console):
    handler, _ = console
    handler.emit(started(1, "train", "results/logs/train/a.log", model="a"))
    assert "train a starts; follow it in results/logs/train/a.log" in handler.stream.getvalue()


def test_what_is_no_job_prints_nothing(console):
    handler, _ = console
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=99))
    handler.emit(record(None, "Select jobs to execute..."))
    assert handler.stream.getvalue() == ""


def test_the_time_left_follows_the_pace_of_the_finished_jobs(console):
    """Jobs that take half of what is expected: a training of two is left, on two cores."""
    handler, clock = console
    progress = handler.progress
    for job, rule in ((1, "train"), (2, "predict")):
        progress.start(job, rule, {}, [])
        clock.seconds += EXPECTED[rule] / 2
        assert progress.seconds_left() is None
        progress.end(job)
    progress.start(3, "train", {}, [])
    clock.seconds += 10
    assert progress.seconds_left() is None, "two of three jobs tell nothing"
    long = Progress({"evaluate": 30, "train": 1}, cores=2, estimates=True, now=clock)
    for job in range(30):
        long.start(job, "evaluate", {}, [])
        clock.seconds += 1  # half of EXPECTED_OF_OTHERS
        long.end(job)
    assert long.seconds_left() == pytest.approx(EXPECTED["train"] / 2 / 2)
    long.start(30, "train", {}, ["x.log"])
    clock.seconds += 17
    assert long.seconds_left() == pytest.approx((EXPECTED["train"] / 2 - 17) / 2)
    clock.seconds += 1000
    assert long.seconds_left() == 0
    assert long.end(30).endswith("31 of 31 jobs] train (17 min)")


def test_no_estimate_where_the_expected_times_mean_nothing():
    progress = Progress({"train": 1}, cores=1, estimates=False)
    progress.start(1, "train", {"model": "a"}, [])
    assert "left" not in progress.end(1)


@pytest.mark.parametrize(
    ("event", "message", "level", "hidden"),
    [
        (LogEvent.JOB_INFO, "", logging.INFO, True),
        (LogEvent.SHELLCMD, "segrepro spec", logging.INFO, True),
        (None, "Select jobs to execute...", logging.INFO, True),
        (None, "Nothing to be done", logging.INFO, False),
        (LogEvent.RUN_INFO, "Job stats", logging.INFO, False),
        (LogEvent.JOB_ERROR, "Error in rule train", logging.ERROR, False),
        (None, "Execute this warning?", logging.WARNING, False),
    ],
)
def test_only_what_stands_in_the_log_file_too_is_hidden(event, message, level, hidden):
    assert hides(record(event, message, level)) == hidden


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (61, "2 min"), (3600, "60 min"), (75600, "21.0 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
