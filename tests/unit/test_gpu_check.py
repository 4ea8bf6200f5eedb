"""A GPU that cannot be used is told of in a sentence. What fails here is a process that says what TensorFlow would."""

import os
import re
import sys

import pytest

from segrepro import gpu_check, gpus
from segrepro.errors import UserError
from segrepro.gpu_check import usable_gpus
from segrepro.gpus import VISIBLE

UUID = "GPU-0d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
PREFIX = "E0000 00:00:1764603865.710806   60625 cuda_dnn.cc:522] "
TOO_OLD = (
    f"{PREFIX}failed call to cuInit: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility was attempted"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with one GPU, as `nvidia-smi` tells, and a function that fakes the probe: what it says, how it ends."""
    for name in (gpus.PRETENDED, VISIBLE, *gpus.JOB_IDS):
        monkeypatch.delenv(name, raising=False)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        f"#!/bin/sh\n[ $1 = -L ] && echo 'GPU 0: Tesla K80 (UUID: {UUID})' || echo 'Tesla K80, 3.7, 470.82, 11 MiB'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(gpus, "LOCK_FOLDER", tmp_path)

    def fake(seen: int | None, said: str, code: int) -> None:
        first = "" if seen is None else f"print('{gpu_check.SEEN}{seen}', flush=True); "
        script = f"import os, sys; {first}sys.stderr.write({said!r}); sys.stderr.flush(); os._exit({code})"
        monkeypatch.setattr(gpu_check, "PROBE", (sys.executable, "-c", script))

    return fake


# What TensorFlow says, and where it was read: tensorflow issues 41401, 46449, 99592, 61330; cuda_dnn.cc; this machine.
FAILURES = {
    "an old driver": (
        None,
        "InternalError: cudaGetDevice() failed. Status: CUDA driver version is insufficient for CUDA runtime version",
        "the NVIDIA driver is too old: CUDA 12 needs 525.60.13 or a later one; update it",
    ),
    "an old driver in a container": (0, TOO_OLD, "TensorFlow sees 0 of 1 GPUs: the NVIDIA driver is too old"),
    "no kernels": (
        1,
        "InternalError: no kernel image is available for execution on the device [Op:Conv2D]",
        "TensorFlow and cuDNN have no code for its compute capability: those from 6.0 to 9.0",
    ),
    "kernels that do not load": (
        1,
        "W tensorflow/compiler/mlir/tools/kernel_gen/tf_gpu_runtime_wrappers.cc:40] 'cuModuleLoadData(&module, data)' "
        "failed with 'CUDA_ERROR_INVALID_PTX'\nInternalError: 'cuLaunchKernel(...)' failed with "
        "'CUDA_ERROR_INVALID_HANDLE'",
        "no code for its compute capability: .*take another GPU .'cuModuleLoadData.*INVALID_PTX'.",
    ),
    "another cuDNN": (
        1,
        f"{PREFIX}Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.  CuDNN library needs to "
        "have matching major version and equal or higher minor version.\nFailedPreconditionError: DNN library "
        "initialization failed. Look at the errors above for more details. [Op:Conv2D]",
        "CUDA's libraries .cuDNN among them. are missing or .*requirements-gpu.lock` .Loaded runtime CuDNN library",
    ),
    "no cuDNN": (
        0,
        "W0000 dso_loader.cc:59] Could not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: cannot open\n"
        "W0000 gpu_device.cc:2431] Cannot dlopen some GPU libraries.",
        "TensorFlow sees 0 of 1 GPUs: CUDA's libraries .*gpu.lock` .Could not load dynamic library 'libcudnn",
    ),
    "no memory": (
        1,
        f"{PREFIX}failed to allocate 2.00GiB from device: RESOURCE_EXHAUSTED: CUDA_ERROR_OUT_OF_MEMORY: out of memory\n"
        f"{PREFIX}Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED",
        "its memory is taken by another process: end that",
    ),
    "a GPU for one process": (
        0,
        f"{PREFIX}CUDA_ERROR_DEVICE_UNAVAILABLE: CUDA-capable device(s) is/are busy or unavailable",
        "another process has it for itself",
    ),
    "no driver": (
        0,
        "I0000 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.\n"
        f"{PREFIX}failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
        "libcuda.so.1 is not found: install the NVIDIA driver",
    ),
    "anything else": (
        1,
        "InternalError: what nobody has seen",
        r"a small convolution fails on it .InternalError: what nobody has seen.; `python -m segrepro.gpu_check`",
    ),
    "an abort": (1, "", "the process ended without a word|a small convolution fails on it"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_gpu_that_fails_is_a_sentence_with_a_remedy(kind, machine):
    seen, said, sentence = FAILURES[kind]
    machine(seen, said, 1 if seen != 0 else 0)
    with pytest.raises(UserError) as caught, usable_gpus(1):
        pytest.fail("the GPU was given to the verb")
    message = str(caught.value)
    assert re.search(sentence, message), message
    assert message.startswith(f"{UUID} (Tesla K80, compute capability 3.7, driver 470.82, 11 MiB free): ")
    assert message.endswith("; or give --gpus 0 (of the workflow: --resources gpu=0) for the CPU.")
    assert "\n" not in message


def test_a_gpu_that_works_is_given_to_the_verb(machine):
    machine(1, f"{PREFIX}something harmless", 0)
    with usable_gpus(None):
        assert os.environ[VISIBLE] == UUID


def test_by_hand_a_tensorflow_without_cuda_works_on_the_cpu_and_says_so(machine, capsys, tmp_path):
    machine(0, FAILURES["no cuDNN"][1], 0)
    with usable_gpus(None):
        assert os.environ[VISIBLE] == "-1"
        assert not list(tmp_path.glob("*.lock")), "a GPU is kept from others"
    message = capsys.readouterr().err
    assert message.startswith("working on the CPU, for TensorFlow sees no GPU: CUDA's libraries")
    assert message.count("\n") == 1


def test_a_gpu_that_hangs_is_a_sentence(machine, monkeypatch):
    monkeypatch.setattr(gpu_check, "PROBE", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(gpu_check, "PROBE_SECONDS", 0.2)
    with pytest.raises(UserError, match="a small convolution did not end within"), usable_gpus(1):
        pass


def test_nothing_is_tried_where_no_gpu_is_used(machine, monkeypatch):
    monkeypatch.setattr(gpu_check, "PROBE", ("no such program",))
    with usable_gpus(0):
        assert os.environ[VISIBLE] == "-1"


def test_the_convolution_itself_runs(monkeypatch):
    """On the CPU, in place of a GPU; one that computes nonsense is found out."""
    import tensorflow as tf

    gpu_check.convolve("CPU:0")
    right = tf.nn.conv2d
    monkeypatch.setattr(tf.nn, "conv2d", lambda *args, **options: 2 * right(*args, **options))
    with pytest.raises(SystemExit, match="computes a wrong convolution"):
        gpu_check.convolve("CPU:0")
