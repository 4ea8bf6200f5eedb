"""What of a user's account may reach into results, and what may not.

Keras takes its number format, axis order and backend from ``~/.keras/keras.json`` and from ``KERAS_*`` variables when
it is imported: `fix_environment`, called before, gives it the project's own. Variables by which users choose how their
machine computes are left to them, and recorded with what was computed (`chosen_settings`).
"""

import os
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


def fix_environment() -> None:
    """Keep the account's Keras settings out of this process and its children; to be called before Keras is imported."""
    for name in [name for name in os.environ if name.startswith(REMOVED)]:
        del os.environ[name]
    os.environ.update(FIXED)


def chosen_settings() -> dict[str, str]:
    """Return the environment variables that are set and choose how this machine computes, sorted by name."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(CHOOSING)}
