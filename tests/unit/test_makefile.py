"""`make clean` costs minutes of the sample, never weeks of the full scale."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make in PATH")


def left_by_clean(folder: Path, *files: str) -> set[str]:
    """The files that are left of some."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    done = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), "clean"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


SAMPLE = ("results/models/a/model.keras", "results/.hidden", "data/sample/downloads/a.tar", ".snakemake/metadata/a")
KEPT = {"results/README.md", "data/downloads/a.tar"}


def test_clean_deletes_the_sample_alone(tmp_path):
    assert left_by_clean(tmp_path, *SAMPLE, *KEPT) == KEPT
    assert left_by_clean(tmp_path) == KEPT  # nothing is left to delete


def test_clean_keeps_the_full_scale_and_its_records(tmp_path):
    full = {"results/full/models/a/model.keras", ".snakemake/metadata/a"}
    assert left_by_clean(tmp_path, *SAMPLE, *KEPT, *full) == KEPT | full
