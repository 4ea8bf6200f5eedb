import operator
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from progress import wait_until
from segrepro.data import parallel
from segrepro.data.parallel import LOOK_AHEAD, map_in_processes
from segrepro.errors import UserError

RUN_FOR_EVER = """
import sys, test_parallel
from segrepro.data.parallel import map_in_processes
if __name__ == "__main__":
    map_in_processes(test_parallel.write_pid_and_wait, [sys.argv[1]] * 4, threads=2, label="waiting")
"""


def square(number: int) -> int:
    return number * number


def refuse_odd(number: int) -> int:
    if number % 2:
        raise UserError(f"{number} is odd")
    return number


def kill_itself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fault_in_a_library(_: int) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def mark_done(task: tuple[str, int]) -> None:
    Path(task[0], str(task[1])).touch()


def write_pid_and_wait(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(3600)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_the_order_of_the_tasks(threads):
    assert map_in_processes(square, range(50), threads=threads, label="t", total=50) == [n * n for n in range(50)]
    assert map_in_processes(square, [], threads=threads, label="t") == []


def test_the_fork_server_imports_the_module_of_the_function_in_a_partial(monkeypatch):
    imported, start = [], parallel._fork_server
    monkeypatch.setattr(parallel, "_fork_server", lambda module: imported.append(module) or start(module))
    assert map_in_processes(partial(operator.add, 1), [1, 2], threads=2, label="t") == [2, 3]
    assert map_in_processes(square, [1, 2], threads=2, label="t") == [1, 4]
    assert imported == [operator.add.__module__, __name__]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_error_by_task_order_is_raised(threads):
    with pytest.raises(UserError, match=r"^3 is odd$"):
        map_in_processes(refuse_odd, [0, 2, 3, 4, 5, 7], threads=threads, label="t")


def test_tasks_are_taken_only_so_far_ahead_of_the_work(tmp_path):
    ahead = []

    def tasks():
        for number in range(60):
            ahead.append(number - len(list(tmp_path.iterdir())))
            yield str(tmp_path), number

    map_in_processes(mark_done, tasks(), threads=2, label="t")
    assert len(ahead) == 60
    assert max(ahead) <= 2 * LOOK_AHEAD


def test_a_killed_worker_is_an_error_and_no_hang():
    with pytest.raises(UserError, match="a worker process was killed"):
        map_in_processes(kill_itself, [1, 2, 3], threads=2, label="t")


def test_a_worker_that_a_library_ended_is_not_blamed_on_memory():
    with pytest.raises(UserError, match="a worker process was ended by SIGSEGV, inside a library"):
        map_in_processes(fault_in_a_library, [1, 2, 3], threads=2, label="t")


def test_no_threads_are_refused():
    with pytest.raises(UserError, match="--threads 0"):
        map_in_processes(square, [1], threads=0, label="t")


def test_workers_end_when_the_parent_is_killed(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN_FOR_EVER)
    pids = tmp_path / "pids"
    pids.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), str(pids)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(list(pids.iterdir())) == 2, "both workers are at work", process=parent)
    workers = [int(path.name) for path in pids.iterdir()]
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(runs, workers)), "the workers have ended")
