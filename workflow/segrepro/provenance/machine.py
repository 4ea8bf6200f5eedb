"""What ran the code: package versions, hardware and command; nothing of it changes from run to run on a machine."""

import os
import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from segrepro.environment import chosen_settings
from segrepro.gpus import NVIDIA_FOLDER, nvidia_smi

# The direct dependencies of pyproject.toml.
PACKAGES = (
    *("snakemake", "tensorflow", "keras", "numpy", "opencv-contrib-python-headless", "pandas", "matplotlib"),
    *("pydensecrf2", "pillow", "scipy", "h5py", "pycocotools", "pydantic", "pyyaml", "requests", "urllib3"),
    *("tenacity", "tqdm", "tabulate", "jinja2"),
)
# Options that change how a command runs, but none of its results.
UNRECORDED = ("--threads", "--gpus", "--checkpoint-minutes", "--checkpoint-every", "--tensorboard")
GIB = 1 << 30


def machine_record(argv: list[str]) -> dict[str, Any]:
    """Return ``versions``, ``hardware``, ``settings`` (`segrepro.environment.chosen_settings`) and ``command``."""
    settings = chosen_settings()
    return {"versions": versions(), "hardware": hardware(), "settings": settings, "command": command_text(argv)}


def versions() -> dict[str, str | None]:
    """Return the version of Python and of each direct dependency; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def hardware() -> dict[str, Any]:
    """Return ``cpu`` (name), ``cores`` (of the machine), ``memory_gib`` (rounded) and ``gpus`` (names)."""
    return {"cpu": _cpu_name(), "cores": os.cpu_count(), "memory_gib": _memory_gib(), "gpus": gpu_names()}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB)
    except (ValueError, OSError):
        return None


def gpu_names(folder: Path = NVIDIA_FOLDER) -> list[str]:
    """Return the names of NVIDIA's GPUs, as the driver's files say, or else ``nvidia-smi``; no TensorFlow needed."""
    files = sorted(folder.glob("*/information"))
    if files:
        lines = [line for file in files for line in file.read_text(errors="replace").splitlines()]
        return [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    names = nvidia_smi("--query-gpu=name", "--format=csv,noheader").splitlines()
    return [name.strip() for name in names if name.strip()]


def command_text(argv: list[str]) -> str:
    """Return the command line of a verb, ``segrepro`` and argv: paths made relative, `UNRECORDED` options left out."""
    words, skip = ["segrepro"], False
    for word in argv:
        option, _, value = word.partition("=")
        if skip:
            skip = False
        elif option in UNRECORDED:
            skip = not value
        elif option.startswith("--") and value:
            words.append(f"{option}={_relative(value)}")
        else:
            words.append(_relative(word))
    return shlex.join(words)


def _relative(word: str) -> str:
    return os.path.relpath(word) if Path(word).is_absolute() else word
