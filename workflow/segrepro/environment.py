"""What a process is started in: standard streams, the current folder, and which of the user's settings reach results.

Keras takes its number format, axis order and backend from ``~/.keras/keras.json`` and from ``KERAS_*`` variables when
it is imported: `fix_environment`, called before, gives it the project's own. Variables by which users choose how their
machine computes are left to them, and recorded with what was computed (`chosen_settings`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path

from segrepro.errors import UserError

# What Keras reads instead of the account's ~/.keras: keras.json with the values of a fresh installation.
KERAS_HOME = Path(__file__).parent / "keras_home"
# Its backend; and what Keras would take from KERAS_* variables or from the former Keras goes.
FIXED = {"KERAS_HOME": str(KERAS_HOME), "KERAS_BACKEND": "tensorflow"}
REMOVED = ("KERAS_", "TF_USE_LEGACY_KERAS")

# Beginnings of the names of variables that choose kernels, instruction sets and precision, and so change last bits or
# more: TensorFlow and XLA, oneDNN (DNNL_ is its former name), cuDNN and cuBLAS, TF32, numpy and its BLAS, OpenCV. Not
# all of TF_, which Terraform has too, with passwords among them.
CHOOSING = (
    *("TF_ENABLE_", "TF_DISABLE_", "TF_USE_", "TF_XLA_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_AUTO", "TF_ONEDNN_"),
    *("XLA_FLAGS", "ONEDNN_", "DNNL_", "CUDNN_", "CUBLAS_", "NVIDIA_TF32"),
    *("NPY_DISABLE_", "OPENBLAS_CORETYPE", "MKL_CBWR", "MKL_ENABLE_", "OPENCV_CPU_DISABLE", "OPENCV_IPP"),
)

# What Keras imports where it is installed, for wrappers and plots that nothing here uses: a third of the time in which
# a process with a network starts (benchmarks/start.py).
NOT_FOR_KERAS = ("sklearn", "matplotlib", "pandas")


class _WithoutExtras(MetaPathFinder):
    """Says that `NOT_FOR_KERAS` are not installed while Keras is being imported; Keras then goes without them."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        keras = sys.modules.get("keras")  # importlib marks a module's spec until its import is done
        if name in NOT_FOR_KERAS and keras and getattr(keras.__spec__, "_initializing", False):
            raise ModuleNotFoundError(f"{name} is not imported for Keras", name=name)


def fix_environment() -> None:
    """Keep what Keras would take from the account, and load for nothing, out of this process and of its children.

    To be called before Keras is imported.
    """
    for name in [name for name in os.environ if name.startswith(REMOVED)]:
        del os.environ[name]
    os.environ.update(FIXED)
    if not any(isinstance(finder, _WithoutExtras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutExtras())


def chosen_settings() -> dict[str, str]:
    """Return the environment variables that are set and choose how this machine computes, sorted by name."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(CHOOSING)}


def output_of(command: Sequence[str], *, seconds: float, **settings: str) -> str | None:
    """Return what a program prints with some more environment variables; None where it is missing, slow or fails."""
    how = {"capture_output": True, "text": True, "errors": "replace", "check": False}
    try:
        done = subprocess.run(command, timeout=seconds, env=os.environ | settings, **how)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """Within the block, environment variables have these values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def open_standard_streams() -> None:
    """Open standard streams that the caller has closed (``2>&-``, some daemons) on nothing.

    Else the next file that is opened gets the number of standard error, and libraries write their warnings into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # worker processes have the same need
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def refuse_removed_folder() -> None:
    """Raise a `UserError` where the current folder, or a part of its path, was removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder was removed; change to one that is there (cd) and run again.") from None
