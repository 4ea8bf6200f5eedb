"""Whether TensorFlow can work on the GPUs that a process has leased, told in a sentence before any data is read.

One small convolution and its gradient run on each, in a process of its own: there, what TensorFlow and its libraries
say around a failure can be read (the exception itself seldom tells the reason), and a failure that ends the process
ends no other. `python -m segrepro.gpu_check` shows all of it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segrepro.errors import UserError
from segrepro.gpus import PRETENDED, Gpu, leased_gpus, nvidia_smi
from segrepro.stopping import STARTED_BY, stop_with

PROBE = (sys.executable, "-P", "-m", "segrepro.gpu_check")
# The first use of a GPU may compile kernels; one that does not answer at all is broken.
PROBE_SECONDS = 900
LINE_LENGTH = 200  # of a log, quoted in a sentence
SEEN = "GPUs that TensorFlow sees: "
INSTALL = "`pip install --require-hashes -r requirements-gpu.lock`"

# What is wrong: words of TensorFlow 2.21, CUDA 12 and cuDNN 9 -> the sentence. The first that is found counts: memory
# before cuDNN, which cannot start without. Drivers: NVIDIA's support matrix of cuDNN 9.10.2. Compute capabilities:
# TensorFlow 2.21 is built for sm_60, sm_70, sm_80, sm_89 and compute_90 (tf.sysconfig.get_build_info()); its kernels do
# not load on Blackwell (tensorflow issues 101746 and 111958).
FAULTS = (
    (
        r"driver version is insufficient|cudaErrorInsufficientDriver|UNSUPPORTED_PTX_VERSION|unsupported toolchain|"
        r"COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "the NVIDIA driver is too old: CUDA 12 needs 525.60.13 or a later one; update it",
    ),
    (
        r"SYSTEM_DRIVER_MISMATCH|Driver/library version mismatch",
        "the driver was updated while it was loaded: restart the machine",
    ),
    (
        r"no kernel image|NO_BINARY_FOR_GPU|ARCH_MISMATCH|INVALID_PTX|does not support target|"
        r"The minimum required Cuda capability",
        "TensorFlow and cuDNN have no code for its compute capability: those from 6.0 to 9.0 (Pascal to Hopper) can be "
        "used; take another GPU",
    ),
    (
        r"OUT_OF_MEMORY|out of memory|OOM when allocating|RESOURCE_EXHAUSTED|_ALLOC_FAILED",
        "its memory is taken by another process: end that (`nvidia-smi` names it), or take another GPU",
    ),
    (
        r"busy or unavailable|DEVICE_UNAVAILABLE|DEVICE_ALREADY_IN_USE",
        "another process has it for itself (`nvidia-smi` names it): wait for that, or take another GPU",
    ),
    (
        r"UNKNOWN ERROR \(303\)|libcuda\.so",
        "the driver's library libcuda.so.1 is not found: install the NVIDIA driver, start a container with --gpus all",
    ),
    (
        r"Could not load dynamic library|Cannot dlopen some GPU libraries|Could not find cuda drivers|"
        r"Unable to load any of \{?libcudnn|libcudnn\S* *: cannot open|needs to have matching major version|"
        r"Could not create cudnn handle|DNN library|CUDNN_STATUS",
        f"CUDA's libraries (cuDNN among them) are missing or are others than TensorFlow's: {INSTALL}",
    ),
)


@contextmanager
def usable_gpus(count: int | None) -> Iterator[int]:
    """Hold ``count`` GPUs within the block that TensorFlow can work on; yields how many (`segrepro.gpus.leased_gpus`).

    Where no ``count`` is given and TensorFlow sees no GPU, the block works on the CPU, and this is said. Of a GPU that
    cannot be used a `UserError` says why, and what to do.
    """
    with leased_gpus(count) as gpus:
        if not gpus or PRETENDED in os.environ or _can_be_used(gpus, asked=count is not None):
            yield len(gpus)
            return
    with leased_gpus(0):
        yield 0


def _can_be_used(gpus: Sequence[Gpu], *, asked: bool) -> bool:
    code, said = _probe()
    found = re.search(rf"{SEEN}(\d+)", said)
    seen = int(found[1]) if found else None
    if code == 0 and seen == len(gpus):
        return True
    fault = _fault(said)
    if seen == 0 and not asked:
        print(f"working on the CPU, for TensorFlow sees no GPU: {fault}.", file=sys.stderr, flush=True)
        return False
    fewer = "" if seen is None or seen == len(gpus) else f"TensorFlow sees {seen} of {len(gpus)} GPUs: "
    names = ", ".join(f"{gpu.device}{_facts(gpu)}" for gpu in gpus)
    raise UserError(f"{names}: {fewer}{fault}; or give --gpus 0 (of the workflow: --resources gpu=0) for the CPU.")


def _probe() -> tuple[int | None, str]:
    """Return the probe's exit code (None if it was still at work after `PROBE_SECONDS`) and all that it said."""
    package = str(Path(__file__).parents[1])
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
        "TF_CPP_MIN_LOG_LEVEL": "0",
        STARTED_BY: str(os.getpid()),
    }
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    try:
        done = subprocess.run(PROBE, env=os.environ | own, timeout=PROBE_SECONDS, check=False, **options)
    except subprocess.TimeoutExpired:
        return None, f"a small convolution did not end within {PROBE_SECONDS // 60} minutes"
    return done.returncode, done.stdout


def _fault(said: str) -> str:
    """Return what is wrong, the remedy, and the line of ``said`` that tells it."""
    for pattern, sentence in FAULTS:
        for line in said.splitlines():
            if re.search(pattern, line):
                return f"{sentence} ({_without_prefix(line)})"
    lines = [line for line in said.splitlines() if line.strip()]
    last = _without_prefix(lines[-1]) if lines else "the process ended without a word"
    return f"a small convolution fails on it ({last}); `python -m segrepro.gpu_check` shows all that TensorFlow says"


def _without_prefix(line: str) -> str:
    """A line of a log without severity, time and place, and not too long for a sentence."""
    return re.sub(r"^.*?\.cc:\d+\] ", "", line.strip())[:LINE_LENGTH].rstrip(". ")


def _facts(gpu: Gpu) -> str:
    wanted = "--query-gpu=name,compute_cap,driver_version,memory.free"
    row = nvidia_smi(wanted, "--format=csv,noheader", f"--id={gpu.key}").strip().split(", ")
    if len(row) != 4:
        return ""
    return f" ({row[0]}, compute capability {row[1]}, driver {row[2]}, {row[3]} free)"


def convolve(device: str) -> None:
    """Run a small convolution and its gradient on a device (GPU:0, CPU:0) and look at what comes out."""
    import tensorflow as tf

    with tf.device(device):
        kernel = tf.Variable(tf.ones((3, 3, 8, 8)))
        with tf.GradientTape() as tape:
            maps = tf.nn.conv2d(tf.ones((2, 9, 9, 8)), kernel, strides=1, padding="VALID")
            mean = tf.reduce_mean(tf.nn.relu(0.5 * maps))
        gradient = tf.reduce_sum(tape.gradient(mean, kernel))
    for found in (float(mean), float(gradient)):
        if abs(found - 36) > 0.1:  # 0.5 x 3 x 3 x 8 ones
            sys.exit(f"{device} computes a wrong convolution: {found} in place of 36")


def main() -> None:
    """Say how many GPUs TensorFlow sees, and try each."""
    stop_with(os.environ.get(STARTED_BY))
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    print(f"{SEEN}{len(gpus)}", flush=True)
    tf.config.experimental.enable_op_determinism()  # as trainings do: it chooses other kernels
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    for index in range(len(gpus)):
        convolve(f"GPU:{index}")


if __name__ == "__main__":
    main()
