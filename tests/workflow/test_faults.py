"""Many kinds of jobs, and Snakemake itself, killed at random moments.

A moment is a part of the processor time that jobs take in a run that nobody disturbs: a busy machine moves none.
"""

import math
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from progress import PATIENCE
from workflow_runs import TINY, command, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.faults]

# One training, and of each other kind of job one that uses it.
SYSTEMS = {
    "twice": {"model": "deeplabv3_trainaug", "prediction": {"scales": [0.75, 1.25]}, "splits": ["voc_val"]},
    "mean": {"fusion": {"kind": "mean", "members": ["deeplabv3_trainaug", "twice"]}, "splits": ["voc_val"]},
    "stacker": {
        "stacking": {"kind": "linear", "members": ["deeplabv3_trainaug", "twice"], "steps": 20, "crop": 16},
        "splits": ["voc_val"],
    },
    "refined": {"crf": {"members": ["mean"], "preset": "deeplabv2_resnet101"}, "splits": ["voc_val"]},
    "tuned": {
        "crf": {
            "members": ["deeplabv3_trainaug"],
            "preset": "deeplabv2_resnet101",
            "search": {"tune_on": "voc_train", "pictures": 4, "bilateral_sxy": [30, 50], "bilateral_srgb": [3]},
        },
        "splits": ["voc_val"],
    },
}
# Of DeconvNet the lists of boxes, which need no training.
EXAMPLES = {
    "stage1": {"network": "deconvnet", "protocol": "deconvnet_stage1", "dataset": "voc_train"}
    | {"examples": {"kind": "objects", "enlarge": 1.2}},
    "stage2": {"network": "deconvnet", "protocol": "deconvnet_stage2", "dataset": "voc_train"}
    | {"examples": {"kind": "proposals", "proposals": "selective_search", "enlarge": 1.2, "min_overlap": 0.5}},
}
CHAIN = TINY | {
    "models": TINY["models"] | EXAMPLES,
    "systems": TINY["systems"] | SYSTEMS,
    "runtime": TINY["runtime"] | {"shards": 2},
}
TARGETS = (
    "data/sample/coco2017/val2017",
    "results/models/stage1/training_set.csv",
    "results/models/stage2/training_set.csv",
    "results/tables/miou.csv",
    "results/figures/grid/voc_val.png",
    "results/tables/proposals/selective_search_voc_val.csv",
)
KINDS = (
    "sample",
    "fetch",
    "convert",
    "manifest",
    "check-labels",
    "proposals",
    "proposal-recall",
    "training-set",
    "train",
    "predict",
    "merge-scores",
    "fuse",
    "stack",
    "crf",
    "crf-search",
    "evaluate",
    "statistics",
    "table",
    "figure",
)
SEED = 0
RUNS_KILLED = 3


def results(folder: Path) -> dict[str, bytes]:
    """What a run has made: models, scores, metrics, tables, figures; not its logs and times."""
    kinds = (
        "models/*/model.keras",
        "models/*/training_set.csv",
        "scores/*/*.h5",
        "metrics/*/*",
        "tables/**/*.csv",
        "figures/**/*.png",
    )
    paths = [path for kind in kinds for path in (folder / "results").glob(kind)]
    paths += (folder / "data/sample").glob("proposals/*/*.h5")
    paths += (path for path in (folder / "data/sample/coco2017").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Job:
    """A job that runs: its process, its kind, and the processor time that it has taken, in seconds."""

    process: psutil.Process
    verb: str
    seconds: float


class Run:
    """A run of the workflow in ``folder``, a process group of its own."""

    def __init__(self, folder: Path):
        call = command(folder, *TARGETS, "--keep-going", overlay=CHAIN)
        self.snakemake = subprocess.Popen(
            call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.seen: dict[psutil.Process, Job] = {}

    @property
    def seconds(self) -> float:
        """The processor time of all jobs so far."""
        return sum(job.seconds for job in self.seen.values())

    def jobs(self) -> Iterator[list[Job]]:
        """Yield the jobs under way, some twenty times a second until the run has ended."""
        while self.snakemake.poll() is None:
            try:
                processes = psutil.Process(self.snakemake.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                return
            under_way = [job for process in processes if (job := job_of(process))]
            self.seen |= {job.process: job for job in under_way}
            yield under_way
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill Snakemake itself; its jobs stop by themselves."""
        jobs = {process: job.verb for process, job in self.seen.items() if process.is_running()}
        self.snakemake.kill()
        self.snakemake.wait()
        _, orphans = psutil.wait_procs(jobs, timeout=PATIENCE)
        assert not orphans, f"{[jobs[process] for process in orphans]} outlived the run"


def job_of(process: psutil.Process) -> Job | None:
    """The job that a process is, a ``python -m segrepro VERB``; None for any other."""
    try:
        words, times = process.cmdline(), process.cpu_times()
    except psutil.Error:
        return None
    if words[1:3] != ["-m", "segrepro"] or len(words) < 4:
        return None
    return Job(process, words[3], times.user + times.system)


@dataclass
class Undisturbed:
    """A run to its end: its folder, and the processor time of the shortest job of each kind and of all together."""

    folder: Path
    lives: dict[str, float]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    run, lives = Run(folder), {}
    for _ in run.jobs():
        pass
    assert run.snakemake.wait() == 0
    for job in run.seen.values():
        lives[job.verb] = min(lives.get(job.verb, math.inf), job.seconds)
    assert set(lives) >= set(KINDS)
    return Undisturbed(folder, lives, run.seconds)


class Killer:
    """Kills the first job of each kind at a random moment of its life, and Snakemake itself anywhere in the whole."""

    def __init__(self, undisturbed: Undisturbed):
        self.lives, self.moments = undisturbed.lives, random.Random(SEED)
        self.left, self.killed = list(KINDS), []
        self.spent = 0.0  # by the jobs of former runs
        runs = (self.moments.uniform(0, 0.7 * undisturbed.seconds) for _ in range(RUNS_KILLED))
        self.of_runs = sorted(runs, reverse=True)

    def disturb(self, run: Run) -> bool:
        """Do so until the run has ended; return whether it ended well."""
        due: dict[psutil.Process, float] = {}
        for jobs in run.jobs():
            if self.of_runs and self.spent + run.seconds >= self.of_runs[-1]:
                self.of_runs.pop()
                run.kill()
                break
            for job in jobs:
                if job.verb in self.left and job.process not in due:
                    self.left.remove(job.verb)
                    due[job.process] = self.moments.uniform(0, 0.7 * self.lives[job.verb])
                if due.get(job.process, math.inf) <= job.seconds:
                    job.process.kill()
                    self.killed.append(job.verb)
                    due.pop(job.process)
        # A kind whose job has ended before its moment, or with its run: its next job has another one.
        self.left += [run.seen[process].verb for process in due]
        self.spent += run.seconds
        return run.snakemake.wait() == 0


def test_every_kind_of_job_and_snakemake_may_be_killed_at_any_moment(undisturbed, tmp_path):
    killer, ended = Killer(undisturbed), False
    while not ended:
        before = len(killer.killed), len(killer.of_runs)
        ended = killer.disturb(Run(tmp_path))
        assert ended or before != (len(killer.killed), len(killer.of_runs)), "the run failed by itself"
    assert killer.of_runs == []
    assert len(killer.killed) >= len(KINDS) - 3, f"{killer.left} ended before they were killed"

    again = snakemake(tmp_path, *TARGETS, overlay=CHAIN)
    assert "Nothing to be done" in again.stdout, again.stdout[-3000:]
    expected, made = results(undisturbed.folder), results(tmp_path)
    assert sorted(made) == sorted(expected)
    assert [name for name in made if made[name] != expected[name]] == []
    assert not [path for path in tmp_path.rglob(".*.partial*") if ".snakemake" not in path.parts]
