"""What a run prints: a line per job as it ends, how far the whole is, and roughly how long it will still take.

Snakemake prints some ten lines per job, with commands of thousands of characters. They go to its own log below
``.snakemake/log/`` as before, and to the console with ``--verbose``.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from snakemake_interface_logger_plugins.common import LogEvent

# Seconds of a job at sample scale on a slow machine of two cores, by rule. Only their proportions matter: they are
# scaled by what the finished jobs of the run have taken.
EXPECTED = {"train": 114, "predict": 14, "stack": 14, "crf": 11, "crf_search": 11}
EXPECTED_OF_OTHERS = 2
ESTIMATE_FROM = 20  # finished jobs: before that an estimate says nothing

HIDDEN_EVENTS = {LogEvent.JOB_INFO, LogEvent.SHELLCMD, LogEvent.PROGRESS, LogEvent.JOB_FINISHED}
HIDDEN_STARTS = ("Select jobs to execute", "Execute ", "Touching output file", "Removing output files")
LONG_RULES = ("train",)  # jobs that a line announces as they start, with the log to follow


def hides(record: logging.LogRecord) -> bool:
    """Return whether a record of Snakemake's is one of those that stand in its log file alone."""
    if record.levelno > logging.INFO:
        return False
    return getattr(record, "event", None) in HIDDEN_EVENTS or record.getMessage().startswith(HIDDEN_STARTS)


class Progress:
    """The state of a run, by its jobs.

    ``waiting``: how many jobs of each rule have not ended; ``cores``: about how many run at once; ``estimates``:
    whether the time that is left can be told from `EXPECTED`; ``now``: the clock, in seconds.
    """

    def __init__(
        self, waiting: dict[str, int], cores: int, *, estimates: bool, now: Callable[[], float] = time.monotonic
    ):
        self.waiting, self.cores, self.estimates, self.now = waiting, cores, estimates, now
        self.total, self._begin = sum(waiting.values()), now()
        self._started: dict[int, tuple[str, str, float]] = {}
        self._expected = self._taken = 0.0

    def start(self, job: int, rule: str, wildcards: Mapping[str, str], logs: Iterable[str]) -> str | None:
        """Note that a job starts; return the line that announces it, if it is one of the long ones."""
        name = " ".join([rule.replace("_", " "), *map(str, wildcards.values())])
        self._started[job] = rule, name, self.now()
        follow = next(iter(logs), None)
        return f"{self._head()} {name} starts; follow it in {follow}" if rule in LONG_RULES and follow else None

    def end(self, job: int) -> str | None:
        """Note that a job has ended; return its line, or None for a job that is not known."""
        if job not in self._started:
            return None
        rule, name, begin = self._started.pop(job)
        self.waiting[rule] = max(self.waiting.get(rule, 0) - 1, 0)
        taken = self.now() - begin
        self._taken += taken
        self._expected += EXPECTED.get(rule, EXPECTED_OF_OTHERS)
        return f"{self._head()} {name} ({duration(taken)})"

    @property
    def done(self) -> int:
        """How many jobs have ended."""
        return self.total - sum(self.waiting.values())

    def seconds_left(self) -> float | None:
        """Return roughly how long the run will still take; None while too few jobs have ended to tell."""
        if not self.estimates or self.done < min(ESTIMATE_FROM, self.total):
            return None
        expected = sum(count * EXPECTED.get(rule, EXPECTED_OF_OTHERS) for rule, count in self.waiting.items())
        pace = self._taken / self._expected
        running = sum(
            min(self.now() - begin, pace * EXPECTED.get(rule, EXPECTED_OF_OTHERS))
            for rule, _, begin in self._started.values()
        )
        return (pace * expected - running) / self.cores

    def _head(self) -> str:
        left = self.seconds_left()
        about = f", about {duration(left)} left" if left and left >= 1 else ""
        return f"[{duration(self.now() - self._begin)}, {self.done} of {self.total} jobs{about}]"


def duration(seconds: float) -> str:
    """Print a duration: ``8 s``, ``4 min``, ``21 h``; from a minute on rounded up, as a rough number."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{-(-seconds // 60):.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Console(logging.Handler):
    """Prints the lines of `Progress` from the records that Snakemake logs."""

    def __init__(self, progress: Progress, stream: TextIO | None = None):
        super().__init__(logging.INFO)
        self.progress, self.stream = progress, stream or sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line where a job ends, or a long one starts."""
        event, line = getattr(record, "event", None), None
        if event == LogEvent.JOB_INFO:
            line = self.progress.start(record.jobid, record.rule_name, record.wildcards or {}, record.log or [])
        elif event == LogEvent.JOB_FINISHED:
            line = self.progress.end(record.job_id)
        if line:
            print(line, file=self.stream, flush=True)


def print_progress(workflow: Any, logger: logging.Logger, *, estimates: bool) -> None:
    """Print one line per job instead of Snakemake's own; nothing changes under ``--verbose`` and ``--quiet``.

    To be called with Snakemake's objects when the jobs are known and none has started (``onstart``).
    """
    if workflow.output_settings.verbose or workflow.output_settings.quiet:
        return
    waiting = Counter(job.rule.name for job in workflow.dag.needrun_jobs())
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(lambda record: not hides(record))
    logger.addHandler(Console(Progress(waiting, cores=workflow.resource_settings.cores or 1, estimates=estimates)))
