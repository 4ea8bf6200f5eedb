"""Running the workflow from tests, as a user runs it: a process, a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def command(folder: Path, *arguments: str, overlay: dict | Path | None = None) -> list[str]:
    """Return the command line of a run in ``folder``; ``overlay`` is laid over the config."""
    call = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile"), "--directory"]
    call.append(str(folder))
    if isinstance(overlay, dict):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "overlay.yaml"
        file.write_text(yaml.safe_dump(overlay))
        overlay = file
    return [*call, "--configfile", str(overlay)] if overlay else call


def snakemake(folder: Path, *arguments: str, overlay: dict | Path | None = None) -> subprocess.CompletedProcess:
    """Run the workflow to its end; stdout and stderr come back as one text in ``stdout``."""
    return subprocess.run(
        command(folder, *arguments, overlay=overlay),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )


def planned(folder: Path, *arguments: str, overlay: dict | Path | None = None) -> dict[str, int]:
    """Return how many jobs of each rule a run would start."""
    done = snakemake(folder, *arguments, "--dry-run", overlay=overlay)
    assert done.returncode == 0, done.stdout[-3000:]
    if "Nothing to be done" in done.stdout:
        return {}
    table = done.stdout.rsplit("Job stats:", 1)[1].split("total", 1)[0]
    rows = [line.split() for line in table.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def without_others(system: str) -> dict:
    """Return an overlay that leaves only one system and its model."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    model = config["systems"][system]["model"]
    return {
        "models": {name: None for name in config["models"] if name != model},
        "systems": {name: None for name in config["systems"] if name != system},
        "figures": {"grid": {"systems": []}},
        "submission": {"systems": []},
    }


# One system that trains in seconds: for what a run does, not for how well it scores.
TINY = {
    **without_others("deeplabv3_trainaug"),
    "sample": {
        "voc_train": 24,
        "voc_val": 24,
        "voc_test": 2,
        "sbd_extra": 24,
        "coco_train": 16,
        "coco_val": 8,
    },
    "datasets": {
        "voc_train": {"pictures": 24},
        "voc_val": {"pictures": 24},
        "trainaug": {"pictures": 48},
    },
    "protocols": {
        "deeplabv3_report": {"steps": 100, "micro_batch": 2, "crop": 33, "log_every": 5},
    },
    "runtime": {"checkpoint_every": 7},
}
