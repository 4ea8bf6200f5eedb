"""GPUs are shared out by leases. The GPUs here are pretended, and whoever holds one is a small process."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from segrepro import cli, gpus
from segrepro.errors import UserError
from segrepro.gpus import ORDER, PRETENDED, VISIBLE, Listed, allowed_gpus, leased_gpus, machine_gpus, read_listing

VERBS_FOLDER = Path(cli.__file__).parent / "verbs"
PATIENCE = 60  # seconds, of a busy machine
HOLD = """
import os, pathlib, sys
from segrepro import gpus
gpus.LOCK_FOLDER, gpus.POLL_SECONDS = pathlib.Path(os.environ["LEASES"]), 0.05
if len(sys.argv) > 2:  # as another user
    os.umask(0o077)
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
with gpus.leased_gpus(int(sys.argv[1])):
    print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"], flush=True)
    sys.stdin.read()
"""


def uuids(count: int, kind: str = "GPU") -> list[str]:
    return [f"{kind}-{k}d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77" for k in range(count)]


def listing(ids: list[str], instances: dict[str, list[str]] | None = None) -> str:
    """Return what `nvidia-smi -L` prints."""
    lines = []
    for index, id in enumerate(ids):
        lines.append(f"GPU {index}: NVIDIA A100-SXM4-40GB (UUID: {id})")
        for device, instance in enumerate((instances or {}).get(id, [])):
            lines.append(f"  MIG 3g.20gb     Device  {device}: (UUID: {instance})")
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def leases(monkeypatch):
    """A folder as /tmp is: all may write to it, and remove what is their own."""
    for name in (PRETENDED, VISIBLE, ORDER, *gpus.JOB_IDS):
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="segrepro-leases-"))  # pytest's own folders are closed to others
    folder.chmod(0o1777)
    monkeypatch.setattr(gpus, "LOCK_FOLDER", folder)
    monkeypatch.setenv("LEASES", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def machine(monkeypatch) -> Callable[..., list[str]]:
    """A function that pretends so many GPUs and returns their UUIDs."""

    def pretend(count: int) -> list[str]:
        ids = uuids(count)
        monkeypatch.setenv(PRETENDED, listing(ids))
        return ids

    return pretend


@pytest.fixture
def holder(tmp_path):
    """A function that starts a process that asks for GPUs and holds them until it is told to end."""
    started = []

    def start(count: int, *, user: int | None = None, **variables: str) -> subprocess.Popen:
        with (tmp_path / f"{len(started)}.err").open("w") as messages:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLD, str(count), *([] if user is None else [str(user)])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                env=os.environ | variables,
            )
        process.messages = Path(messages.name)
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process)


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def held_by(process: subprocess.Popen) -> list[str]:
    """Return the GPUs that it sees, as soon as it has them."""
    devices, order = process.stdout.readline().split()
    assert order == "PCI_BUS_ID"
    return devices.split(",")


def one_that_waits(jobs: list[subprocess.Popen]) -> subprocess.Popen:
    give_up = time.monotonic() + PATIENCE
    while not (waiting := [job for job in jobs if job.messages.read_text()]):
        assert time.monotonic() < give_up, "no job waits, or it does not say so"
        time.sleep(0.02)
    return waiting[0]


def wait_until_it_waits(process: subprocess.Popen) -> str:
    give_up = time.monotonic() + PATIENCE
    while not process.messages.read_text():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < give_up, "it neither waits nor says so"
        time.sleep(0.02)
    return process.messages.read_text()


def test_three_jobs_on_two_gpus_have_one_each_and_the_third_waits(machine, holder):
    ids = machine(2)
    first, second = holder(1), holder(1)
    assert sorted(held_by(first) + held_by(second)) == ids
    third = holder(1)
    message = wait_until_it_waits(third)
    assert message == f"waiting for 1 of the GPUs {', '.join(ids)}: others work on them\n"
    kill(second)
    (got,) = held_by(third)
    assert got in ids
    assert third.messages.read_text() == message, "said twice"
    fourth = holder(1)
    wait_until_it_waits(fourth)
    first.stdin.close()  # ends by itself
    assert {got, *held_by(fourth)} == set(ids)


def test_two_that_ask_for_two_gpus_each_do_not_wait_for_each_other(machine, holder):
    ids = machine(3)
    jobs = [holder(2), holder(2)]
    waiting = one_that_waits(jobs)
    (running,) = [job for job in jobs if job is not waiting]
    for job in (running, waiting):
        devices = held_by(job)
        assert len(set(devices)) == 2
        assert set(devices) <= set(ids)
        kill(job)


def test_who_asks_for_two_has_its_turn_before_those_who_come_later(machine, holder):
    ids = machine(2)
    first, second = holder(1), holder(1)
    held_by(first), held_by(second)
    both = holder(2)
    wait_until_it_waits(both)
    late = holder(1)
    wait_until_it_waits(late)
    kill(first)
    time.sleep(0.5)  # ten looks: one is free now, but not for the late one
    assert late.poll() is None
    kill(second)
    assert sorted(held_by(both)) == ids
    kill(both)
    assert held_by(late)[0] in ids


def test_index_and_uuid_of_a_gpu_are_one_lease(machine, holder):
    ids = machine(2)
    by_index = holder(1, **{VISIBLE: "1"})
    assert held_by(by_index) == ["1"]
    beginning = ids[1][:12]
    by_uuid = holder(1, **{VISIBLE: beginning})
    wait_until_it_waits(by_uuid)
    of_all = holder(1)
    assert held_by(of_all) == [ids[0]]
    kill(by_index)
    assert held_by(by_uuid) == [beginning]


def test_instances_of_a_gpu_are_leased_one_by_one(monkeypatch, holder):
    whole, divided = uuids(2)
    instances = uuids(2, "MIG")
    monkeypatch.setenv(PRETENDED, listing([whole, divided], {divided: instances}))
    assert [gpu.key for gpu in allowed_gpus()] == [whole, *instances]
    jobs = [holder(1, **{VISIBLE: chosen}) for chosen in ("1", "1", f"{instances[0]},{instances[1]}")]
    waiting = one_that_waits(jobs)
    assert sorted(device for job in jobs if job is not waiting for device in held_by(job)) == instances
    monkeypatch.setenv(VISIBLE, "1")
    with pytest.raises(UserError, match="one MIG instance to a process"), leased_gpus(2):
        pass


UUIDS = ["GPU-aaaa-1", "GPU-aaab-2", "GPU-bbbb-3"]
MIGS = ["MIG-cccc-1", "MIG-cccd-2"]


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (None, [*UUIDS[:2], *MIGS]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),  # Slurm's word for none
        ("1,0", [UUIDS[1], UUIDS[0]]),
        ("0,-1,1", [UUIDS[0]]),
        ("0,7,1", [UUIDS[0]]),
        ("0,0", [UUIDS[0]]),
        ("0,GPU-aaaa", [UUIDS[0]]),
        ("GPU-aaa", []),  # two begin so
        ("GPU-aaab-2, 0", [UUIDS[1], UUIDS[0]]),
        ("2", MIGS),
        ("GPU-bbbb", MIGS),
        ("MIG-cccd", [MIGS[1]]),
        ("MIG-ccc", []),
    ],
)
def test_a_given_set_is_read_as_cuda_reads_it(given, keys, monkeypatch):
    monkeypatch.setenv(PRETENDED, listing(UUIDS, {UUIDS[2]: MIGS}))
    if given is not None:
        monkeypatch.setenv(VISIBLE, given)
    assert [gpu.key for gpu in allowed_gpus()] == keys


def test_what_is_given_stays_as_it_was_given(machine, monkeypatch):
    ids = machine(2)
    monkeypatch.setenv(VISIBLE, f"1,{ids[0][:20]}")
    with leased_gpus(2):
        assert os.environ[VISIBLE] == f"1,{ids[0][:20]}"
    assert os.environ[VISIBLE] == f"1,{ids[0][:20]}"


@pytest.mark.parametrize(
    ("count", "given", "message"),
    [
        (3, None, "--gpus 3, but this machine has 2 .*: ask for fewer, or give --gpus 0"),
        (2, "0", "--gpus 2, but CUDA_VISIBLE_DEVICES=0 leaves 1 "),
        (1, "-1", "--gpus 1, but CUDA_VISIBLE_DEVICES=-1 leaves none "),
    ],
)
def test_more_than_there_are_is_a_sentence(count, given, message, machine, monkeypatch):
    machine(2)
    if given:
        monkeypatch.setenv(VISIBLE, given)
    with pytest.raises(UserError, match=message), leased_gpus(count):
        pass


@pytest.mark.parametrize("verb", ["predict", "train"])
def test_less_than_no_gpu_is_refused_before_any_is_leased(verb, capsys):
    names = {
        "predict": ("model", "spec", "manifest", "system", "out"),
        "train": ("spec", "manifest", "model", "history", "checkpoints"),
    }
    files = [part for name in names[verb] for part in (f"--{name}", "x.keras" if name == "model" else "x")]
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, *files, "--gpus", "-1"])
    assert "--gpus is -1; give a whole number" in f"{stopped.value} {capsys.readouterr().err}"


def test_without_a_gpu_or_asked_for_none_tensorflow_sees_none(machine, monkeypatch):
    machine(2)
    with leased_gpus(0) as held:
        assert (held, os.environ[VISIBLE]) == ((), "-1")
    assert VISIBLE not in os.environ
    monkeypatch.setenv(VISIBLE, "")
    with leased_gpus(None) as held:
        assert (held, os.environ[VISIBLE]) == ((), "-1")


def test_by_hand_a_verb_takes_one(machine, leases):
    ids = machine(2)
    with leased_gpus(None) as held:
        assert [gpu.device for gpu in held] == [os.environ[VISIBLE]] == ids[:1]
    assert ORDER not in os.environ
    assert not list(leases.iterdir()), "lock files are left"


def test_jobs_of_a_scheduler_have_gpus_of_their_own_by_the_same_number(machine, holder):
    ids = machine(1)
    jobs = [holder(1, **{VISIBLE: "0", "SLURM_JOB_ID": number}) for number in ("71", "72")]
    assert [held_by(job) for job in jobs] == [["0"], ["0"]]
    wait_until_it_waits(holder(1, **{VISIBLE: "0", "SLURM_JOB_ID": "72"}))  # but two of one job share out what it has
    ungiven = holder(1, SLURM_JOB_ID="73")  # this Slurm gives no GPUs
    assert held_by(ungiven) == ids
    wait_until_it_waits(holder(1, SLURM_JOB_ID="74"))


def test_gpus_are_found_by_nvidia_smi_or_the_drivers_files(tmp_path, monkeypatch):
    for number, id in ((2, "GPU-bb"), (1, "GPU-aa"), (3, "GPU-????????")):
        folder = tmp_path / f"gpus/0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t A\nGPU UUID: \t {id}\nDevice Minor: \t 0\n")
    monkeypatch.setattr(gpus, "NVIDIA_FOLDER", tmp_path / "gpus")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine_gpus() == [Listed("GPU-aa"), Listed("GPU-bb"), Listed("")]
    assert [gpu.device for gpu in allowed_gpus()] == ["GPU-aa", "GPU-bb", "2"]
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n[ $1 = -L ] && echo '{listing(['GPU-cc'])}'\n")
    tool.chmod(0o755)
    assert machine_gpus() == [Listed("GPU-cc")]
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert machine_gpus()[0] == Listed("GPU-aa")
    monkeypatch.setattr(gpus, "NVIDIA_FOLDER", tmp_path / "none")
    assert machine_gpus() == []
    monkeypatch.setenv(VISIBLE, "3,GPU-9")  # nothing says what there is: whoever gave it will know
    assert [gpu.key for gpu in allowed_gpus()] == ["3", "GPU-9"]


def test_an_older_listing_of_instances_is_read():
    text = "GPU 0: A (UUID: GPU-aa)\n  MIG 1g.5gb Device 0: (UUID: MIG-GPU-aa/1/0)\nGPU 1: B (UUID: GPU-bb)\n"
    assert read_listing(text) == [Listed("GPU-aa", ("MIG-GPU-aa/1/0",)), Listed("GPU-bb")]


needs_other_users = pytest.mark.skipif(os.getuid() != 0, reason="only root can work as other users")


@needs_other_users
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_lock_file_that_another_user_left_is_no_obstacle(mode, leases, machine, holder):
    ids = machine(1)
    left = leases / f"segrepro-gpu-{ids[0]}.lock"
    left.touch()
    os.chown(left, 12345, 12345)
    left.chmod(mode)
    assert held_by(holder(1, user=54321)) == ids
    wait_until_it_waits(holder(1, user=54321))
    assert left.exists()


@needs_other_users
def test_users_wait_for_each_other(machine, holder):
    ids = machine(1)
    first = holder(1, user=54321)
    assert held_by(first) == ids
    second = holder(1, user=12345)
    wait_until_it_waits(second)
    kill(first)
    assert held_by(second) == ids
    wait_until_it_waits(holder(1, user=54321))


def has_network(command: str) -> bool:
    verb, _, name = command.partition(" ")
    if name:
        return importlib.import_module(f"segrepro.verbs.{verb}").ENTRIES[name].network
    code = (VERBS_FOLDER / f"{verb.replace('-', '_')}.py").read_text()
    return "prepare_tensorflow" in code or "experiment import train" in code


@pytest.mark.parametrize("verb", filter(has_network, cli.commands()))
def test_verbs_with_a_network_lease_their_gpus_before_they_run(verb, machine, monkeypatch):
    ids = machine(2)
    seen = []
    module = importlib.import_module(f"segrepro.verbs.{verb.split()[0].replace('-', '_')}")
    monkeypatch.setattr(module, "run", lambda args: seen.append((args.gpus, os.environ[VISIBLE])))
    monkeypatch.setattr(cli.argparse.ArgumentParser, "error", lambda *args: None)  # what it also requires
    cli.main(verb.split())
    cli.main([*verb.split(), "--gpus", "0"])
    assert seen == [(1, ids[0]), (0, "-1")]
    monkeypatch.setenv(VISIBLE, "")
    with pytest.raises(SystemExit, match="--gpus 1, but CUDA_VISIBLE_DEVICES= leaves none"):
        cli.main([*verb.split(), "--gpus", "1"])
