"""Running the workflow from tests, as a user runs it: a process, a folder of its own."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]

# Trainings of their own lengths (`make test-sample`, `make test-real`), or so short that they only just learn.
FULL = os.environ.get("SEGREPRO_TESTS") == "full"

# A call that only plans runs in a fork of a process that has imported Snakemake: half of its time is that import.
PLANS = {"--dry-run", "--detailed-summary", "--touch"}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["snakemake.cli", "pydantic", "numpy"])

Overlay = dict | Path | list[dict | Path] | None


def command(folder: Path, *arguments: str, overlay: Overlay = None) -> list[str]:
    """Return the command line of a run in ``folder``; each ``overlay`` is laid over the config and those before it."""
    call = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile"), "--directory"]
    call.append(str(folder))
    files = []
    for layer in overlay if isinstance(overlay, list) else [overlay]:
        if isinstance(layer, dict):
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"overlay{len(files)}.yaml"
            file.write_text(yaml.safe_dump(layer))
            files.append(str(file))
        elif layer:
            files.append(str(layer))
    return [*call, "--configfile", *files] if files else call


def called(call: list[str]) -> subprocess.CompletedProcess:
    """Run a command line of Snakemake to its end; stdout and stderr come back as one text in ``stdout``."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    if not PLANS & set(call):
        merged = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.run(call, **merged, check=False, env=environment)
    with tempfile.NamedTemporaryFile("r", prefix="snakemake-", suffix=".txt") as output:
        planning = FORKS.Process(target=_plan, args=(call[3:], environment, output.name))
        planning.start()
        planning.join()
        return subprocess.CompletedProcess(call, planning.exitcode, stdout=output.read())


def _plan(arguments: list[str], environment: dict[str, str], output: str) -> None:
    """In the fork: be ``python -m snakemake`` with these arguments."""
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    main()


def snakemake(folder: Path, *arguments: str, overlay: Overlay = None) -> subprocess.CompletedProcess:
    """Run the workflow to its end; stdout and stderr come back as one text in ``stdout``."""
    return called(command(folder, *arguments, overlay=overlay))


def planned(folder: Path, *arguments: str, overlay: Overlay = None) -> dict[str, int]:
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


# One system that trains in seconds: for what a run does, not for how well it scores. The steps take milliseconds each;
# there are as many as leave even a busy machine the time to disturb them.
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
        "deeplabv3_report": {"steps": 300, "micro_batch": 2, "crop": 33, "log_every": 5},
    },
    "runtime": {"checkpoint_every": 7},
}
