"""Say what this machine lacks for the installation, before minutes are spent on it; run by `make`.

All packages of requirements.lock are wheels but `pydensecrf2`, which is compiled: that takes a C++ compiler and
Python's headers. Exit code 1, and one sentence per thing that is missing. An old Python must be told so too: nothing
here is newer than Python 3.6.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)  # TensorFlow 2.21 has wheels for these
INTERPRETERS = ["python3.13", "python3.12", "python3.11"]
COMPILERS = ["c++", "g++", "clang++"]


def runs(name):
    """Return whether a command runs: a version manager's stand-in may be in PATH and have nothing behind it."""
    try:
        return not subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL)
    except OSError:
        return False


def missing():
    """Return a sentence for each thing that the installation needs and does not find."""
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        found = [name for name in INTERPRETERS if runs(name)]
        remedy = f"call make PYTHON={found[0]}" if found else "install one, and call make PYTHON=python3.13"
        return ["{} is Python {}.{}, and 3.11, 3.12 or 3.13 is needed: {}.".format(sys.executable, *version, remedy)]
    sentences = []
    compiler = os.environ.get("CXX", "").split()[:1]
    if not any(shutil.which(name) for name in compiler or COMPILERS):
        sought = f"The C++ compiler {compiler[0]} (CXX)" if compiler else "A C++ compiler"
        sentences.append(
            f"{sought} is not in PATH, and the package pydensecrf2 must be compiled: install g++ (Debian and Ubuntu: "
            "apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)."
        )
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.exists():
        sentences.append(
            "{} is missing, and the package pydensecrf2 must be compiled: install Python's headers (Debian and Ubuntu: "
            "apt-get install python{}.{}-dev; Fedora: dnf install python3-devel).".format(headers, *version)
        )
    return sentences


if __name__ == "__main__":
    faults = missing()
    for sentence in faults:
        print(sentence, file=sys.stderr)
    sys.exit(bool(faults))
