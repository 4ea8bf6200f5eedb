"""The GPUs of one machine, shared out among processes: who needs one takes a lease, a lock that dies with its holder.

What a process has leased is all that ``CUDA_VISIBLE_DEVICES`` shows to the TensorFlow that it imports afterwards. GPUs
are numbered as ``nvidia-smi`` does. A set that a scheduler or the user gave by ``CUDA_VISIBLE_DEVICES`` is shared out
as any other, and read as CUDA reads it: indices, UUIDs, their beginnings; what follows an entry that names no GPU is
left out (CUDA Programming Guide 13, "CUDA Environment Variables").
"""

import argparse
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from segrepro.environment import output_of, variables
from segrepro.errors import UserError
from segrepro.locks import POLL_SECONDS, HeldError, held
from segrepro.options import COUNT, Number

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
# For tests: what `nvidia-smi -L` would print on a machine with GPUs. TensorFlow finds none of them.
PRETENDED = "SEGREPRO_PRETENDED_GPUS"
# Not TMPDIR, which two processes may have set to two folders.
LOCK_FOLDER = Path("/tmp")
# What says that this is a job of a scheduler, and which (Slurm, PBS, LSF, SGE). GPUs that it gave are shared out within
# the job only: other jobs have others, or the same by the site's will, and each may call its own GPU 0.
JOB_IDS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_JOB_SPOOL_DIR")

NVIDIA_FOLDER = Path("/proc/driver/nvidia/gpus")
NVIDIA_SECONDS = 30
WSL = "/usr/lib/wsl/lib"  # where nvidia-smi is under Windows, often not in PATH


@dataclass(frozen=True)
class Gpu:
    """A GPU, or one MIG instance of it."""

    device: str  # what `VISIBLE` calls it
    key: str  # what its lease is filed under: its UUID, where that is known

    @property
    def is_instance(self) -> bool:
        """Whether it is a MIG instance."""
        return self.key.startswith("MIG-")


@dataclass(frozen=True)
class Listed:
    """A GPU of the machine: its UUID, and those of its MIG instances."""

    uuid: str
    instances: tuple[str, ...] = ()


def add_gpus_argument(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Declare ``--gpus`` (``several``, or one); the command line takes the leases before it runs a verb that has it."""
    meaning = "GPUs that share each step" if several else "1 to work on a GPU"
    parser.add_argument(
        "--gpus",
        type=COUNT if several else Number(int, 0, 1),
        metavar="N",
        help=f"{meaning}, leased; 0 for the CPU (default: 1 if there is one)",
    )


@contextmanager
def leased_gpus(count: int | None) -> Iterator[tuple[Gpu, ...]]:
    """Hold ``count`` GPUs within the block, and show them and no others to TensorFlow; waits until they are free.

    None stands for one if there is any; where there are fewer than asked for, that is a `UserError`. Two that ask for
    several GPUs never wait for each other: each takes all or none.
    """
    gpus = allowed_gpus() if count != 0 else []
    if count is None:
        count = min(len(gpus), 1)
    if count:
        gpus = _enough(gpus, count)
    with ExitStack() as leases:
        leased = _lease(gpus, count, leases) if count else ()
        shown = ",".join(gpu.device for gpu in leased) or "-1"
        leases.enter_context(variables({VISIBLE: shown, ORDER: "PCI_BUS_ID"}))
        yield leased


def allowed_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use, each once: all of the machine, or those that `VISIBLE` names."""
    listed, given = machine_gpus(), os.environ.get(VISIBLE)
    if given is None:
        return [gpu for index, one in enumerate(listed) for gpu in _as_gpus(one, index)]
    found: dict[str, Gpu] = {}
    for word in given.split(","):
        gpus = _named(word.strip(), listed)
        if not gpus:
            break
        found |= {gpu.key: gpu for gpu in gpus if gpu.key not in found}
    return list(found.values())


def machine_gpus() -> list[Listed]:
    """Return NVIDIA's GPUs, in the order of their indices, as ``nvidia-smi`` or else the driver's files list them."""
    text = os.environ.get(PRETENDED) or nvidia_smi("-L")
    if text:
        return read_listing(text)
    files = [file.read_text(errors="replace") for file in sorted(NVIDIA_FOLDER.glob("*/information"))]
    uuids = [re.search(r"^GPU UUID:\s*(GPU-[0-9a-f-]+)$", text, re.MULTILINE) for text in files]
    return [Listed(uuid[1] if uuid else "") for uuid in uuids]


def nvidia_smi(*options: str) -> str:
    """Return what ``nvidia-smi`` prints; "" where it is missing or fails."""
    program = shutil.which("nvidia-smi", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{WSL}")
    return (program and output_of([program, *options], seconds=NVIDIA_SECONDS)) or ""


def read_listing(text: str) -> list[Listed]:
    """Read what ``nvidia-smi -L`` prints: a line for each GPU, below it an indented one for each MIG instance."""
    gpus: list[Listed] = []
    for line in text.splitlines():
        uuid = re.search(r"\(UUID: ([^)]+)\)", line)
        if uuid and line.startswith("GPU "):
            gpus.append(Listed(uuid[1]))
        elif uuid and gpus:
            gpus[-1] = Listed(gpus[-1].uuid, (*gpus[-1].instances, uuid[1]))
    return gpus


def _as_gpus(one: Listed, index: int) -> list[Gpu]:
    """What can be leased of a GPU: itself, or its MIG instances."""
    name = one.uuid or str(index)
    return [Gpu(uuid, uuid) for uuid in one.instances] or [Gpu(name, name)]


def _named(word: str, listed: list[Listed]) -> list[Gpu]:
    """What an entry of `VISIBLE` names. It stays as it was given: a scheduler knows why it says so."""
    is_index, is_uuid = word.isdecimal(), word.startswith(("GPU-", "MIG-"))
    if not listed:  # nothing says what there is: whoever gave it will know
        return [Gpu(word, word)] if is_index or is_uuid else []
    chosen = [index for index, one in enumerate(listed) if is_uuid and one.uuid.startswith(word)]
    if is_index and int(word) < len(listed):
        chosen = [int(word)]
    if len(chosen) == 1:
        gpus = _as_gpus(listed[chosen[0]], chosen[0])
        return gpus if gpus[0].is_instance else [Gpu(word, gpus[0].key)]
    instances = [uuid for one in listed for uuid in one.instances if is_uuid and uuid.startswith(word)]
    return [Gpu(word, instances[0])] if len(instances) == 1 else []


def _enough(gpus: list[Gpu], count: int) -> list[Gpu]:
    """Return those that a process may have ``count`` of; refuse where there are fewer."""
    if count > 1 and any(gpu.is_instance for gpu in gpus):
        gpus = [gpu for gpu in gpus if not gpu.is_instance]
        if len(gpus) < count:
            raise UserError(f"--gpus {count}: CUDA shows one MIG instance to a process and no more; give --gpus 1.")
    if len(gpus) < count:
        given = os.environ.get(VISIBLE)
        place = "this machine has" if given is None else f"{VISIBLE}={given} leaves"
        raise UserError(
            f"--gpus {count}, but {place} {len(gpus) or 'none'} (`nvidia-smi -L` lists what there is): ask for fewer, "
            "or give --gpus 0 (of the workflow: --resources gpu=0) for the CPU."
        )
    return gpus


def _lease(gpus: Sequence[Gpu], count: int, leases: ExitStack) -> tuple[Gpu, ...]:
    """Take ``count`` of ``gpus``, in turn with all others that may take the same ones."""
    job = next((f"-{os.environ[name]}" for name in JOB_IDS if VISIBLE in os.environ and os.environ.get(name)), "")
    files = [_lock_file(f"{gpu.key}{job}") for gpu in gpus]
    queue = _lock_file("queue-" + hashlib.sha256(" ".join(map(str, files)).encode()).hexdigest()[:16])
    told = False
    with ExitStack() as turn:
        for paths, wanted, until in (([queue], 1, turn), (files, count, leases)):
            while not (held := _hold_some(paths, wanted, until)):
                if not told:
                    names = ", ".join(gpu.device for gpu in gpus)
                    print(f"waiting for {count} of the GPUs {names}: others work on them", file=sys.stderr, flush=True)
                told = True
                time.sleep(POLL_SECONDS)
    return tuple(gpus[index] for index in held)


def _lock_file(name: str) -> Path:
    return LOCK_FOLDER / f"segrepro-gpu-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.lock"


def _hold_some(paths: Sequence[Path], count: int, until: ExitStack) -> list[int]:
    """Hold ``count`` of the locks until ``until`` is closed, or none; return which."""
    held: list[int] = []
    with ExitStack() as stack:
        for index, path in enumerate(paths):
            if len(held) < count and _hold(path, stack):
                held.append(index)
        if len(held) < count:
            return []
        until.push(stack.pop_all())
    return held


def _hold(path: Path, until: ExitStack) -> bool:
    # Somebody's folder, link or unreadable file of that name is no reason not to work: then at least the processes of
    # one user are kept apart.
    for candidate in (path, path.with_suffix(f".{os.getuid()}.lock")):
        try:
            until.enter_context(held(candidate, among_users=True))
        except HeldError:
            return False
        except OSError as error:
            reason = error.strerror
        else:
            return True
    raise UserError(f"{path}: cannot be opened ({reason}): GPUs are shared out by files in {path.parent}; mend that.")
