"""Fixtures that several test files share."""

import copy
from functools import cache
from pathlib import Path

import pytest
import yaml

from segrepro.environment import fix_environment

ROOT = Path(__file__).parents[1]
fix_environment()  # as the command line does, before a test imports Keras


# The files that take longest come first, in this order; the short ones then fill up the other core.
LONGEST_FIRST = ("workflow/test_sample_run.py", "workflow/test_resume.py", "workflow/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        path = item.path.relative_to(ROOT / "tests").as_posix()
        return next((n for n, start in enumerate(LONGEST_FIRST) if path.startswith(start)), len(LONGEST_FIRST))

    items.sort(key=turn)


def _merge(base: dict, overlay: dict) -> dict:
    """Lay one config mapping over another, as Snakemake does: mappings deeply, all else replaced."""
    for key, value in overlay.items():
        base[key] = _merge(base.get(key) or {}, value) if isinstance(value, dict) else value
    return base


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture
def merged_config():
    """Return a function that gives config.yaml with a scale's overlay laid over it, as a plain mapping."""

    def load(scale: str = "sample") -> dict:
        return _merge(_parsed("config.yaml") | {"scale": scale}, _parsed(f"workflow/scales/{scale}.yaml"))

    return load


@cache
def _text(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


def _parsed(name: str) -> dict:
    return copy.deepcopy(_text(name))
