"""What the installation says before it starts: the interpreter, the compiler, Python's headers."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "envs/prerequisites.py"


def call(*code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run the script, after some code in the same interpreter."""
    start = "\n".join([*code, "import runpy", f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"])
    environment = {key: value for key, value in os.environ.items() if key != "CXX"} | variables
    return subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False, env=environment)


def test_this_machine_has_what_it_needs():
    if not any(map(shutil.which, ("c++", "g++"))) or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("without a compiler or Python's headers")
    done = call()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_refused_with_the_command_for_one_that_runs(tmp_path, version):
    (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 127\n")  # a version manager's stand-in
    (tmp_path / "python3.12").write_text("#!/bin/sh\nexit 0\n")
    for file in tmp_path.iterdir():
        file.chmod(0o755)
    done = call(f"import sys; sys.version_info = {(*version, 0)}", PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"is Python {version[0]}.{version[1]}, and 3.11, 3.12 or 3.13 is needed: call make PYTHON=python3.12." in (
        done.stderr
    )


def test_without_a_compiler_the_package_to_install_is_named(tmp_path):
    done = call(PATH=str(tmp_path))
    assert done.returncode == 1
    assert "A C++ compiler is not in PATH" in done.stderr
    assert "apt-get install g++" in done.stderr
    assert "The C++ compiler nowhere (CXX) is not in PATH" in call(CXX="nowhere -O2").stderr


def test_without_headers_the_package_to_install_is_named(tmp_path):
    done = call(f"import sysconfig; sysconfig.get_path = lambda name: {str(tmp_path)!r}")
    assert done.returncode == 1
    assert f"{tmp_path}/Python.h is missing" in done.stderr
    assert f"apt-get install python3.{sys.version_info[1]}-dev" in done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="no make in PATH")
def test_an_interpreter_that_is_not_there_is_said_to_be_missing(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        ["make", "PYTHON=python3.12x", ".venv/installed"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "python3.12x: cannot be run; call make PYTHON=python3" in done.stdout
    assert not (tmp_path / ".venv").exists()
