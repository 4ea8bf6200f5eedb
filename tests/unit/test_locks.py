"""Locks: one holder at a time, and none after its end, however it ends."""

import os
import subprocess
import sys
import threading

import pytest

from segrepro import locks
from segrepro.errors import UserError
from segrepro.locks import HeldError, hold_run_lock, locked, locked_in_turn

HOLD = "import sys, pathlib; from segrepro.locks import locked\nwith locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"  # noqa: E501


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "work.lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_gone_after_the_block(path):
    with locked(path):
        assert f"process {os.getpid()} on " in path.read_text()
    assert not path.exists()


def test_a_second_holder_is_told_of_the_first(path, holder):
    with pytest.raises(HeldError, match=f"process {holder.pid} on "), locked(path):
        pass
    assert path.exists()


def test_a_killed_holder_leaves_no_lock(path, holder):
    holder.kill()
    holder.wait()
    with locked(path):
        assert f"process {os.getpid()} on " in path.read_text()


def test_who_waits_says_so_once_and_gets_its_turn(path, holder, monkeypatch, capsys):
    monkeypatch.setattr(locks, "POLL_SECONDS", 0.01)
    threading.Timer(0.2, holder.kill).start()
    with locked_in_turn(path, "the model"):
        assert f"process {os.getpid()} on " in path.read_text()
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"the model: waiting for process {holder.pid} on " in message


def test_a_second_run_is_refused_in_a_sentence(path, holder):
    with pytest.raises(UserError, match=rf"another run, process {holder.pid} on .*wait for it, stop it, or run in"):
        hold_run_lock(path)


def test_a_file_system_without_locks_gives_a_warning(path, monkeypatch, capsys):
    def none(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", none)
    with locked(path):
        assert "has no locks" in capsys.readouterr().err
