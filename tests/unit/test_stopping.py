"""What is half-written goes, whether a verb fails, is told to stop, is killed, or loses the run that started it."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from progress import PATIENCE
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
        time.sleep(3600)
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
    assert len(names(tmp_path)) == 6  # two of them locks
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert names(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "before"


def test_what_a_killed_process_left_is_removed_by_the_next(writer, tmp_path):
    process = writer()
    process.kill()
    process.wait()
    assert len(names(tmp_path)) == 5
    with atomic_path(tmp_path / "a.json") as file:
        file.write_text("whole")
    assert names(tmp_path) == ["a.json"]


def test_what_a_living_process_writes_stays(writer, tmp_path):
    writer()
    with atomic_directory(tmp_path / "folder") as folder:
        (folder / "picture.jpg").write_text("whole")
    assert len(names(tmp_path)) == 6
    assert (tmp_path / "folder" / "picture.jpg").read_text() == "whole"


def as_of_another_host(folder, *, hours):
    """Give what a killed process left the names of another host, and an age."""
    for path in list(folder.glob(".*.partial*")):
        other = path.rename(path.with_name(path.name.replace(socket.gethostname(), "node17.cluster")))
        then = time.time() - 3600 * hours
        for file in (*other.rglob("*"), other):
            os.utime(file, (then, then))


@pytest.mark.parametrize(("hours", "left"), [(0.5, 5), (1.5, 0)])
def test_what_was_killed_on_another_host_or_in_a_container_is_removed_when_it_was_long_left_alone(
    writer, tmp_path, hours, left
):
    process = writer()
    process.kill()
    process.wait()
    as_of_another_host(tmp_path, hours=hours)
    with atomic_path(tmp_path / "b.json") as file:
        file.write_text("whole")
    assert len(names(tmp_path)) == left + 1


def test_what_a_living_process_of_another_host_writes_stays_however_long_it_takes(writer, tmp_path):
    writer()
    as_of_another_host(tmp_path, hours=100)
    with atomic_path(tmp_path / "b.json") as file:
        file.write_text("whole")
    assert len(names(tmp_path)) == 6


@pytest.mark.parametrize(("process", "left"), [(os.getppid(), 2), (4194305, 1)])  # the last is above any process id
def test_without_locks_what_a_dead_process_of_this_host_left_is_removed(tmp_path, monkeypatch, process, left):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / f".a.{socket.gethostname()}.{process}.partial.json").write_text("half")
    with atomic_path(tmp_path / "b.json") as file:
        file.write_text("whole")
    assert len(names(tmp_path)) == left


def test_a_folder_that_cannot_be_replaced_stays_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/picture.jpg").write_text("before")
    rename = Path.replace

    def fail(self, target):
        if target == tmp_path / "folder" and self.name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Input/output"), atomic_directory(tmp_path / "folder") as folder:
        (folder / "other.jpg").write_text("after")
    assert names(tmp_path) == ["folder"]
    assert (tmp_path / "folder/picture.jpg").read_text() == "before"


def test_foreign_files_of_a_like_name_stay(tmp_path):
    for name in (".a.other-host.1.partial.json", ".a.partial.json", "archive.tar.partial"):
        (tmp_path / name).write_text("somebody's")
    with atomic_path(tmp_path / "a.json") as file:
        file.write_text("whole")
    assert len(names(tmp_path)) == 4


LINUX = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


@LINUX
def test_a_job_ends_with_the_run_that_started_it(writer, tmp_path):
    run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    job = writer(**{STARTED_BY: str(run.pid)})
    time.sleep(0.1)
    assert job.poll() is None
    run.kill()
    run.wait()
    assert job.wait(PATIENCE) == 128 + signal.SIGTERM
    assert names(tmp_path) == []


@LINUX
def test_a_job_whose_run_has_ended_before_it_could_be_watched_stops_at_once(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = subprocess.run(
        [sys.executable, "-c", WRITE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env=os.environ | {STARTED_BY: str(gone.pid)},
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")
    assert names(tmp_path) == []


@pytest.mark.parametrize("starter", ["", "no number", "0"])  # 0: outside of this container
def test_a_starter_that_cannot_be_watched_is_passed_over(writer, starter):
    job = writer(**{STARTED_BY: starter})
    time.sleep(0.1)
    assert job.poll() is None
