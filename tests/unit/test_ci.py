"""`.ci/run`: every stage is run and timed, one that fails is seen in the exit code, and none outlives it."""

import os
import re
import shutil
import signal
import subprocess

import psutil
import pytest

from progress import PATIENCE, wait_until

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "flock", "timeout"))), reason="no bash, flock or timeout in PATH"
)

# Stands for make: says what it was called with; fails or hangs where the environment asks for it.
MAKE = """#!/bin/sh
echo "called: $*"
[ "$1" != "$HANGS" ] || { echo $$ > hanging.tmp; mv hanging.tmp hanging; exec sleep 3600; }
[ "$1" != "$FAILS" ] || exit 7
"""
STAGES = {
    "packages": None,
    "install": ".venv/installed",
    "lint": "lint",
    "tests": "test",
    "slurm": "test-slurm",
    "faults": "test-faults",
    "real": "test-real",
}


@pytest.fixture
def start(tmp_path, project_root):
    """Start a copy of .ci/run on programs that do nothing."""
    commands = tmp_path / "bin"
    for folder in (commands, tmp_path / "pictures", tmp_path / "checkout/.ci"):
        folder.mkdir(parents=True)
    shutil.copy(project_root / ".ci/run", tmp_path / "checkout/.ci")
    for name, text in {"make": MAKE, "chromedriver": "#!/bin/sh\n", "sbatch": "#!/bin/sh\n"}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    running = []

    def run(**environment: str) -> subprocess.Popen:
        environment |= {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "SEGREPRO_REAL_SUBSET": str(tmp_path / "pictures"),
        }
        call = ["bash", str(tmp_path / "checkout/.ci/run")]
        started = subprocess.Popen(
            call,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"HANGS": "", "FAILS": ""} | environment,
        )
        running.append(started)
        return started

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def table(output: str) -> dict[str, str]:
    """Stage -> how it ended, of the last lines."""
    lines = output.split("===== time\n")[1].splitlines()
    assert re.fullmatch(r"total +\d+ s", lines[-1])
    return {line.split()[0]: re.sub(r"^\S+ +\d+ s +", "", line) for line in lines[:-1]}


def test_every_stage_has_a_line_with_its_time(start):
    run = start()
    output, _ = run.communicate()
    assert run.returncode == 0, output
    assert table(output) == dict.fromkeys(STAGES, "passed")
    assert "called: test-real TRAININGS=short" in output


@pytest.mark.parametrize("stage", ["lint", "tests", "faults", "real"])
def test_a_stage_that_fails_is_named_and_the_others_are_run(start, stage):
    run = start(FAILS=STAGES[stage])
    output, _ = run.communicate()
    assert run.returncode == 7
    assert table(output) == dict.fromkeys(STAGES, "passed") | {stage: "FAILED, code 7"}


def test_after_a_failed_installation_nothing_is_tested(start):
    run = start(FAILS=".venv/installed")
    output, _ = run.communicate()
    assert run.returncode == 7
    assert table(output) == {"packages": "passed", "install": "FAILED, code 7"}


def test_no_stage_outlives_a_run_that_is_told_to_stop(start, tmp_path):
    run = start(HANGS="test-faults")
    hanging = tmp_path / "checkout/hanging"
    wait_until(hanging.exists, "the stage is at work", process=run)
    stage = psutil.Process(int(hanging.read_text()))
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 143, output
    assert "faults was interrupted" in output
    psutil.wait_procs([stage], timeout=PATIENCE)
    assert not stage.is_running()
