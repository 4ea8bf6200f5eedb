"""A run that is killed or told to stop ends, by the same command, as a run that nobody disturbed: bit for bit."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from progress import PATIENCE, wait_until
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
    *("results/tables/miou.csv", "results/tables/per_class_iou.csv", "results/provenance.json"),
    *("results/figures/grid/voc_val.png", "results/figures/training.png"),
)


def steps_done(folder: Path) -> int:
    names = [p.stem for p in folder.glob("results/models/deeplabv3_trainaug/checkpoints/*/step_*.npz")]
    return max((int(name.removeprefix("step_")) for name in names), default=0)


class TrainingRun:
    """A run in a process group of its own that has come to a checkpoint past a step, and a random moment further."""

    def __init__(self, folder: Path, after_step: int):
        self.snakemake = subprocess.Popen(
            command(folder, *TARGETS, overlay=TINY),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        further = f"a checkpoint past step {after_step}"
        wait_until(lambda: steps_done(folder) > after_step, further, process=self.snakemake)
        time.sleep(random.Random(os.urandom(8)).uniform(0.0, 0.15))
        assert self.snakemake.poll() is None, "the run ended before it could be disturbed"
        children = psutil.Process(self.snakemake.pid).children(recursive=True)
        self.trainings = [child for child in children if "train" in child.cmdline()]
        assert self.trainings, "no training is running"

    def kill_training(self) -> None:
        for process in self.trainings:
            process.kill()
        assert self.snakemake.wait() != 0

    def kill_snakemake(self) -> None:
        """Kill Snakemake alone; the training notices and ends by itself."""
        self.snakemake.kill()
        self.snakemake.wait()
        assert not psutil.wait_procs(self.trainings, timeout=PATIENCE)[1]

    def preempt(self) -> None:
        """Send SIGTERM to all that belongs to the run, as Slurm does."""
        os.killpg(self.snakemake.pid, signal.SIGTERM)
        assert self.snakemake.wait() != 0
        assert all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in self.trainings)


def test_kills_and_preemption_change_no_byte_of_the_results(tmp_path):
    undisturbed = snakemake(tmp_path / "undisturbed", *TARGETS, overlay=TINY)
    assert undisturbed.returncode == 0, undisturbed.stdout[-3000:]

    # The other run has the same data and checks, and nothing that a model has a part in.
    folder = Path(shutil.copytree(tmp_path / "undisturbed", tmp_path / "disturbed"))
    for made in ("models", "scores", "metrics", "tables", "figures", "logs"):
        shutil.rmtree(folder / "results" / made)
    (folder / "results/provenance.json").unlink()
    log = folder / "results/logs/train/deeplabv3_trainaug.log"

    run = TrainingRun(folder, after_step=0)
    for process in run.trainings:
        process.suspend()  # it would end before the second run has planned its jobs
    second = snakemake(folder, *TARGETS, overlay=TINY)
    assert second.returncode == 1
    assert f"another run, process {run.snakemake.pid} on " in second.stdout
    assert "Traceback" not in second.stdout
    run.kill_training()
    assert not (folder / MODEL).exists()

    run = TrainingRun(folder, after_step=steps_done(folder))
    run.kill_snakemake()
    assert "the same command goes on" in log.read_text()
    assert not (folder / MODEL).exists()

    saved = steps_done(folder)
    TrainingRun(folder, after_step=saved).preempt()
    assert f"going on from step {saved} of" in log.read_text()
    assert "the same command goes on" in log.read_text()
    assert not (folder / MODEL).exists()

    saved = steps_done(folder)
    resumed = snakemake(folder, *TARGETS, overlay=TINY)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert f"going on from step {saved} of" in log.read_text()
    for name in RESULTS:
        assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name
    left = [path for path in folder.rglob("*.partial*") if ".snakemake" not in path.parts]
    assert not left
