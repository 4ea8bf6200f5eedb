"""Many kinds of jobs, and Snakemake itself, killed at random moments."""

import math
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

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
    "convert-voc",
    "convert-sbd",
    "convert-coco",
    "manifest",
    "check-labels",
    "proposals",
    "proposal-recall",
    "object-examples",
    "proposal-examples",
    "train",
    "predict",
    "merge-scores",
    "fuse",
    "stack",
    "crf",
    "crf-search",
    "evaluate",
    "statistics",
    "tables",
    "figure-grid",
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


def start(folder: Path) -> subprocess.Popen:
    """Start the workflow in ``folder``, a process group of its own."""
    return subprocess.Popen(
        command(folder, *TARGETS, "--keep-going", overlay=CHAIN),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def jobs_of(run: subprocess.Popen) -> Iterator[dict[psutil.Process, str]]:
    """Yield the jobs under way and the kind of each, fifty times a second until the run has ended."""
    while run.poll() is None:
        try:
            processes = psutil.Process(run.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        yield {process: verb for process in processes if (verb := verb_of(process))}
        time.sleep(0.02)


def lives_in_an_undisturbed_run(folder: Path) -> dict[str, float]:
    """Run the workflow to its end; return the seconds that the shortest job of each kind has lived."""
    run, born, lives = start(folder), {}, {}
    under_way: dict[psutil.Process, str] = {}
    for jobs in jobs_of(run):
        now = time.monotonic()
        for process, verb in under_way.items():
            if process not in jobs:
                lives[verb] = min(lives.get(verb, math.inf), now - born[process])
        for process in jobs:
            born.setdefault(process, now)
        under_way = jobs
    assert run.wait() == 0
    return lives


def kill_some(folder: Path, left: list[str], lives: dict[str, float], moments: random.Random) -> tuple[bool, list[str]]:
    """Run the workflow and kill the first job of each kind in ``left``, at a random moment of its life.

    A kind whose job had ended before its moment stays in ``left``: its next job has another one.

    Returns:
        Whether the run ended well; and the kinds that were killed.
    """
    run = start(folder)
    due: dict[psutil.Process, tuple[str, float]] = {}
    killed = []
    for jobs in jobs_of(run):
        for process, verb in jobs.items():
            if verb in left and process not in due:
                left.remove(verb)
                due[process] = verb, time.monotonic() + moments.uniform(0, 0.7 * lives[verb])
        for process, (verb, moment) in list(due.items()):
            if process not in jobs:
                left.append(verb)
                del due[process]
            elif moment <= time.monotonic():
                process.kill()
                killed.append(verb)
                del due[process]
    return run.wait() == 0, killed


def kill_run(folder: Path, seconds: float) -> bool:
    """Run the workflow and kill Snakemake itself after so many seconds; its jobs stop by themselves.

    Returns:
        Whether it had not ended before.
    """
    run, end = start(folder), time.monotonic() + seconds
    for jobs in jobs_of(run):
        if time.monotonic() >= end:
            run.kill()
            run.wait()
            _, orphans = psutil.wait_procs(jobs, timeout=60)
            assert not orphans, f"{[jobs[process] for process in orphans]} outlived the run"
            return True
    return False


def verb_of(process: psutil.Process) -> str | None:
    """The verb of a ``python -m segrepro VERB`` process, None for any other."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    return words[3] if words[1:3] == ["-m", "segrepro"] and len(words) > 3 else None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, dict[str, float], float]:
    """A run to its end: its folder, the lives of its jobs, and how long it took, in seconds."""
    folder, started = tmp_path_factory.mktemp("undisturbed"), time.monotonic()
    lives = lives_in_an_undisturbed_run(folder)
    return folder, lives, time.monotonic() - started


def assert_as_undisturbed(folder: Path, undisturbed: Path) -> None:
    again = snakemake(folder, *TARGETS, overlay=CHAIN)
    assert "Nothing to be done" in again.stdout, again.stdout[-3000:]
    expected, made = results(undisturbed), results(folder)
    assert sorted(made) == sorted(expected)
    assert [name for name in made if made[name] != expected[name]] == []
    assert not [path for path in folder.rglob(".*.partial*") if ".snakemake" not in path.parts]


def test_every_kind_of_job_may_be_killed_at_any_moment(undisturbed, tmp_path):
    whole, lives, _ = undisturbed
    assert set(lives) >= set(KINDS)
    left, moments, killed, ended = list(KINDS), random.Random(SEED), [], False
    while not ended:
        ended, more = kill_some(tmp_path, left, lives, moments)
        assert ended or more, "the run failed by itself"
        killed += more
    assert len(killed) >= len(KINDS) - 3, f"only {killed} were killed in time"
    assert_as_undisturbed(tmp_path, whole)


def test_snakemake_may_be_killed_at_any_moment(undisturbed, tmp_path):
    whole, _, seconds = undisturbed
    moments = random.Random(SEED)
    killed = [kill_run(tmp_path, moments.uniform(0, seconds / 2)) for _ in range(RUNS_KILLED)]
    assert sum(killed) >= RUNS_KILLED - 1
    assert start(tmp_path).wait() == 0
    assert_as_undisturbed(tmp_path, whole)
