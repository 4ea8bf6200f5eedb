"""What is half-written goes, whether a verb fails, is told to stop, is killed, or loses the run that started it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segrepro.files import atomic_directory, atomic_path
from segrepro.stopping import STARTED_BY

# Writes a file and a folder, and waits in the middle of both.
WRITE = """
import os, sys, time
from pathlib import Path
from segrepro.files import atomic_directory, atomic_path
from segrepro.stopping import stop_with, stops_cleanly
with stops_cleanly():
    stop_with(os.environ.get("SEGREPRO_STARTED_BY"))
    with atomic_path(Path("a.json")) as file, atomic_directory(Path("folder")) as folder:
        file.write_text("half")
        file.with_suffix(".more.json").write_text("half")
        (folder / "picture.jpg").write_text("half")
        print("writing", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """Start a process that is in the middle of writing."""
    started = []

    def start(**environment):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        started.append(process)
        assert process.stdout.readline() == "writing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_sigterm_removes_what_is_half_written(writer, tmp_path):
    (tmp_path / "a.json").write_text("before")
    process = writer()
    assert len(names(tmp_path)) == 4
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert names(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "before"


def test_what_a_killed_process_left_is_removed_by_the_next(writer, tmp_path):
    process = writer()
    process.kill()
    process.wait()
    assert len(names(tmp_path)) == 3
    with atomic_path(tmp_path / "a.json") as file:
        file.write_text("whole")
    assert names(tmp_path) == ["a.json"]


def test_what_a_living_process_writes_stays(writer, tmp_path):
    writer()
    with atomic_directory(tmp_path / "folder") as folder:
        (folder / "picture.jpg").write_text("whole")
    assert len(names(tmp_path)) == 4
    assert (tmp_path / "folder" / "picture.jpg").read_text() == "whole"


def test_foreign_files_of_a_like_name_stay(tmp_path):
    for name in (".a.other-host.1.partial.json", ".a.partial.json", "archive.tar.partial"):
        (tmp_path / name).write_text("somebody's")
    with atomic_path(tmp_path / "a.json") as file:
        file.write_text("whole")
    assert len(names(tmp_path)) == 4


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_a_job_ends_with_the_run_that_started_it(writer, tmp_path):
    run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    job = writer(**{STARTED_BY: str(run.pid)})
    time.sleep(0.1)
    assert job.poll() is None
    run.kill()
    run.wait()
    assert job.wait(10) == 128 + signal.SIGTERM
    assert names(tmp_path) == []


@pytest.mark.parametrize("starter", ["", "no number", "4194305"])  # the last is above any process id
def test_a_starter_that_cannot_be_watched_is_passed_over(writer, starter):
    job = writer(**{STARTED_BY: starter})
    time.sleep(0.1)
    assert job.poll() is None
