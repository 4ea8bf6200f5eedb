"""What of a user's account may reach into results, and what may not.

Keras takes its number format, axis order and backend from ``~/.keras/keras.json`` and from ``KERAS_*`` variables when
it is imported: `fix_environment`, called before, gives it the project's own. Variables by which users choose how their
machine computes are left to them, and recorded with what was computed (`chosen_settings`).
"""

import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

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
    """Keep what Keras would take from the account, and load for nothing, out of this process.

    To be called before Keras is imported. The account's settings are kept out of child processes too.
    """
    for name in [name for name in os.environ if name.startswith(REMOVED)]:
        del os.environ[name]
    os.environ.update(FIXED)
    if not any(isinstance(finder, _WithoutExtras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutExtras())


def chosen_settings() -> dict[str, str]:
    """Return the environment variables that are set and choose how this machine computes, sorted by name."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(CHOOSING)}
