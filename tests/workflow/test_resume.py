"""A run that is killed ends, by the same command, as a run that nobody killed: bit for bit."""

import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from workflow_runs import TINY, command, snakemake

pytestmark = pytest.mark.workflow

MODEL = "results/models/deeplabv3_trainaug/model.keras"
RESULTS = (
    MODEL,
    "results/models/deeplabv3_trainaug/history.csv",
    "results/models/deeplabv3_trainaug/made.json",
    "results/scores/deeplabv3_trainaug/voc_val.h5",
    "results/metrics/deeplabv3_trainaug/voc_val.json",
    "results/tables/miou.csv",
    "results/tables/per_class_iou.csv",
    "results/tables/provenance.csv",
    "results/provenance.json",
    "results/figures/grid/voc_val.png",
    "results/figures/training.png",
)
TARGETS = (
    *("results/tables/miou.csv", "results/provenance.json"),
    *("results/figures/grid/voc_val.png", "results/figures/training.png"),
)


def steps_done(folder: Path) -> int:
    names = [p.stem for p in folder.glob("results/models/deeplabv3_trainaug/checkpoints/*/step_*.npz")]
    return max((int(name.removeprefix("step_")) for name in names), default=0)


def kill_during_training(folder: Path, after_step: int, pause: float, *, snakemake_too: bool) -> None:
    """Start the run, wait for a checkpoint past ``after_step`` and a moment more, and kill -9 the training.

    With ``snakemake_too``, Snakemake is killed first, with all that it started.
    """
    run = subprocess.Popen(
        command(folder, *TARGETS, overlay=TINY),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    give_up = time.monotonic() + 240
    while steps_done(folder) <= after_step and run.poll() is None:
        assert time.monotonic() < give_up, "no checkpoint was written"
        time.sleep(0.02)
    time.sleep(pause)
    assert run.poll() is None, "the run ended before it could be killed"
    victims = [p for p in psutil.Process(run.pid).children(recursive=True) if "train" in p.cmdline()]
    assert victims, "no training is running"
    if snakemake_too:
        run.kill()
    for process in victims:
        process.kill()
    assert run.wait() != 0


def test_three_kills_change_no_byte_of_the_results(tmp_path):
    undisturbed = snakemake(tmp_path / "undisturbed", *TARGETS, overlay=TINY)
    assert undisturbed.returncode == 0, undisturbed.stdout[-3000:]

    folder = tmp_path / "killed"
    moments = random.Random(os.urandom(8))
    for after_step, snakemake_too in ((0, False), (7, False), (21, True)):
        kill_during_training(folder, after_step, moments.uniform(0.0, 0.15), snakemake_too=snakemake_too)
        assert not (folder / MODEL).exists()
    # A Snakemake that was killed leaves its lock behind; --unlock is the remedy that it names itself.
    assert snakemake(folder, "--unlock", overlay=TINY).returncode == 0
    resumed = snakemake(folder, *TARGETS, overlay=TINY)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert "going on from step" in resumed.stdout

    for name in RESULTS:
        assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name
