"""The images, the conda environments and the virtual environment install the same versions of the same packages."""

import re
import tomllib

import pytest
import yaml

INSTRUCTIONS = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "ENTRYPOINT", "CMD", "USER", "LABEL"}


def pins(text: str) -> dict[str, set[str]]:
    """Return the versions of each package of a lock file or environment (several where they depend on the platform)."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r'^(?:\s+- ")?([a-z0-9-]+)(?:\[[a-z-]+\])?==([^\s;"\\]+)', text, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.fixture
def lock(project_root):
    return lambda name: (project_root / name).read_text()


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Return (keyword, arguments) of each instruction, continuation lines joined, comments left out."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def test_the_gpu_lock_adds_cuda_and_changes_no_version(lock):
    cpu, gpu = pins(lock("requirements.lock")), pins(lock("requirements-gpu.lock"))
    assert {name for name in gpu if name not in cpu} == {name for name in gpu if name.startswith("nvidia-")}
    assert len([name for name in gpu if name.startswith("nvidia-")]) > 5
    assert {name: versions for name, versions in gpu.items() if cpu.get(name, versions) != versions} == {}


@pytest.mark.parametrize("name", ["requirements-gpu.lock", "envs/gpu.yaml"])
def test_cudnn_runs_on_volta_and_with_this_tensorflow(lock, name):
    """NVIDIA's support matrices: 9.10.2 has compute capability 7.0, 9.11.0 has not; TensorFlow 2.21 asks for 9.3."""
    (cudnn,) = pins(lock(name))["nvidia-cudnn-cu12"]
    assert (9, 3) <= tuple(map(int, cudnn.split(".")))[:2] < (9, 11)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-gpu.lock", "requirements-build.lock"])
def test_every_pin_has_hashes_and_no_lock_names_a_host(lock, name):
    text = lock(name)
    assert "http" not in text
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize(("kind", "name"), [("cpu", "requirements.lock"), ("gpu", "requirements-gpu.lock")])
def test_the_conda_environments_hold_all_that_a_run_needs(lock, kind, name):
    text = lock(f"envs/{kind}.yaml")
    environment, locked = pins(text), pins(lock(name))
    assert environment == {name: locked[name] for name in environment}
    requirements = tomllib.loads(lock("pyproject.toml"))["project"]["dependencies"]
    assert {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements} <= set(environment)
    packages = yaml.safe_load(text)["dependencies"]
    assert "cxx-compiler" in packages  # pydensecrf2 has no wheels
    assert any(str(package).startswith("python=3.11") for package in packages)


def test_the_images_install_the_locks_and_nothing_beside(lock):
    steps = instructions(lock("Dockerfile"))
    assert {keyword for keyword, _ in steps} <= INSTRUCTIONS
    stages = [re.search(r" AS (\S+)$", arguments)[1] for keyword, arguments in steps if keyword == "FROM"]
    assert {"cpu", "gpu"} <= set(stages)
    assert stages[-1] == "cpu"  # what a bare `docker build` makes
    installs = [arguments for keyword, arguments in steps if keyword == "RUN" and "pip install" in arguments]
    assert len(installs) == 2
    for install in installs:  # the tools that compile pydensecrf2, then all else with them
        tools, packages = re.findall(r"pip install (.*?) -r /tmp/(\S+)", install)
        assert tools[1] == "requirements-build.lock"
        assert "--no-build-isolation" in packages[0]
        assert all("--require-hashes" in options for options, _ in (tools, packages))
    (python,) = [arguments for keyword, arguments in steps if keyword == "ARG"]
    assert python.startswith("PYTHON=3.11-")  # as the conda environments


def test_all_that_the_images_copy_is_let_in(lock, project_root):
    ignored = lock(".dockerignore").splitlines()
    copied = [
        file
        for keyword, arguments in instructions(lock("Dockerfile"))
        if keyword == "COPY" and "--from" not in arguments
        for file in arguments.split()[:-1]
    ]
    assert copied
    for name in copied:
        assert (project_root / name).is_file()
        assert f"!{name}" in ignored


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-gpu.lock", "requirements-build.lock"])
def test_each_python_gets_the_same_versions(lock, name):
    assert "python_full_version" not in lock(name)
    assert "python_version" not in lock(name)
    assert all(len(versions) == 1 for versions in pins(lock(name)).values())
