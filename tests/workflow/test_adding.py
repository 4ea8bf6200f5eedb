"""What `docs/adding.md` says of new entries is done in a copy of the project."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segrepro.stores.scores import ScoreReader, ScoreWriter
from workflow_runs import ROOT, called, command

ADDED = {"mine": {"fusion": {"kind": "maximum", "members": ["fcn8s", "deconvnet_stage2"]}, "splits": ["voc_val"]}}


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of what a run reads of the project."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "workflow", project / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    return project


def add(what: str, project: Path) -> set[str]:
    """Write the module and the entry that the page shows; return the names of the files that are new."""
    before = {path for path in project.rglob("*") if path.is_file()}
    told = (ROOT / "docs/adding.md").read_text().partition(f"**{what}**")[2].partition("\n**")[0]
    module, entry = re.findall(r"```python\n(.*?)```", told, re.DOTALL)
    (project / re.search(r"# (\S+\.py)\n", module)[1]).write_text(module)
    entries = project / re.search(r"(\S+\.py)\n", entry)[1]
    text = entries.read_text()
    assert text.count("_ENTRIES = (\n") == 1
    entries.write_text(text.replace("_ENTRIES = (\n", "_ENTRIES = (\n" + entry.partition("\n")[2]))
    return {path.name for path in project.rglob("*") if path.is_file() and path not in before}


def add_the_kind_of_system(project: Path) -> None:
    """Write the line and the function that the page shows."""
    told = (ROOT / "docs/adding.md").read_text().partition("**A kind of system**")[2].partition("\n**")[0]
    line, function = re.findall(r"```python\n(.*?)```", told, re.DOTALL)
    sections = project / "workflow/segrepro/config/systems.py"
    text, count = re.subn(r'    kind: Literal\["vote", .*\n', lambda _: line, sections.read_text())
    assert count == 1
    sections.write_text(text)
    with (project / "workflow/segrepro/fusion/combine.py").open("a") as functions:
        functions.write("\n\n" + function)


def segrepro(project: Path, *words: str) -> subprocess.CompletedProcess:
    call = [sys.executable, "-m", "segrepro", *words]
    return subprocess.run(call, cwd=project / "workflow", capture_output=True, text=True, check=False)


def test_a_figure_is_added_by_one_module_and_one_entry(copy, tmp_path):
    assert add("A figure", copy) == {"accuracy.py"}
    for system, accuracy in (("a", 0.5), ("b", 0.75)):
        content = {"system": system, "split": "voc_val", "pixel_accuracy": accuracy}
        (tmp_path / f"{system}.json").write_text(json.dumps(content))
    (tmp_path / "leakage.json").write_text(json.dumps({"a": {"voc_val": 0.5}, "b": {"voc_val": 0}}))
    files = ["--metrics", *(str(tmp_path / f"{name}.json") for name in "ab")]
    files += ["--leakage", str(tmp_path / "leakage.json")]
    done = segrepro(copy, "figure", "accuracy", *files, "--split", "voc_val", "--out", str(tmp_path / "f.png"))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.size == (1750, 750)
    assert "  accuracy " in segrepro(copy, "figure", "--help").stdout
    refused = segrepro(copy, "figure", "accuracy", "--metrics", "no.json", "--split", "s", "--out", "x.png")
    assert refused.returncode == 1
    assert refused.stderr.startswith("segrepro figure accuracy: no.json: ")


def test_a_table_is_added_by_one_module_and_one_entry(copy, tmp_path):
    """Of the two systems the better one leaks; it is marked in all forms and on the page."""
    assert add("A table", copy) == {"accuracy_table.py"}
    tables = tmp_path / "results/tables"
    tables.mkdir(parents=True)
    for system, accuracy in (("a", 0.5), ("b", 0.75)):
        content = {"system": system, "split": "voc_val", "label_space": "voc21", "pictures": 9, "classes": 21}
        content |= {"miou": 0.4, "pixel_accuracy": accuracy, "mean_accuracy": 0.3, "fw_iou": 0.2, "per_class_iou": {}}
        (tmp_path / f"{system}.json").write_text(json.dumps(content))
    (tmp_path / "leakage.json").write_text(json.dumps({"a": {"voc_val": 0}, "b": {"voc_val": 0.5}}))
    (tmp_path / "config.json").write_text("{}")
    files = ["--metrics", *(str(tmp_path / f"{name}.json") for name in "ab")]
    outputs = [str(tables / f"accuracy.{form}") for form in ("csv", "md", "tex")]
    done = segrepro(copy, "table", "accuracy", *files, "--leakage", str(tmp_path / "leakage.json"), "--out", *outputs)
    assert done.returncode == 0, done.stderr
    assert (tables / "accuracy.csv").read_text() == (
        "split,system,leaks,pixel_accuracy\nvoc_val,b,50.00,75.00\nvoc_val,a,,50.00\n"
    )
    assert (tables / "accuracy.md").read_text().startswith("# Pixel accuracy, in percent\n\n| split   | system   |")
    assert "| b †      |" in (tables / "accuracy.md").read_text()
    assert r"b \textdagger{}" in (tables / "accuracy.tex").read_text()
    page = ["--results", str(tmp_path / "results"), "--tables", outputs[0], "--config", str(tmp_path / "config.json")]
    done = segrepro(copy, "page", *page, "--out", str(tmp_path / "results/report"))
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "results/report/index.html").read_text()
    assert "<h3>Pixel accuracy, in percent</h3>" in html
    assert ">pixel acc.</button>" in html
    assert ">b †</td>" in html


def test_a_kind_of_system_is_added_by_one_word_and_one_function(copy, tmp_path):
    add_the_kind_of_system(copy)
    scores = np.random.default_rng(0).normal(size=(2, 5, 7, 21))
    for name, map in zip("ab", scores, strict=True):
        with ScoreWriter(
            tmp_path / name, system=name, label_space="voc21", kind="logits", resize="half_pixel"
        ) as store:
            store.add("p", map, size=(5, 7))
    files = ["--members", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out.h5")]
    fuse = ["fuse", "--kind", "maximum", "--weights", "1", "2", "--system", "mine", "--storage-stride", "1"]
    done = segrepro(copy, *fuse, *files)
    assert done.returncode == 0, done.stderr
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    largest = np.maximum(probabilities[0], 2 * probabilities[1])
    with ScoreReader(tmp_path / "out.h5") as store:
        made = store.probabilities("p", "voc21")
    np.testing.assert_allclose(made, largest / largest.sum(axis=-1, keepdims=True), atol=4e-3)


def test_the_rules_make_what_was_added(copy, tmp_path):
    add("A figure", copy)
    add("A table", copy)
    add_the_kind_of_system(copy)
    call = command(tmp_path / "run", "--dry-run", "--printshellcmds", overlay={"systems": ADDED})
    call[call.index("--snakefile") + 1] = str(copy / "Snakefile")
    done = called(call)
    assert done.returncode == 0, done.stdout[-3000:]
    drawn = re.findall(r"segrepro figure accuracy (.*) &> ", done.stdout)
    assert len(drawn) == 2  # splits
    (of_val,) = (words for words in drawn if "voc_val" in words)
    assert of_val.startswith("--metrics results/metrics/fcn8s/voc_val.json results/metrics/deconvnet_stage2/voc_val")
    assert "--leakage results/leakage.json --out results/figures/accuracy/voc_val.png " in of_val
    (fuse,) = (words for words in re.findall(r"segrepro fuse (.*)", done.stdout) if " --system mine " in words)
    assert fuse.startswith("--members results/scores/fcn8s/voc_val.h5 results/scores/deconvnet_stage2/voc_val.h5 ")
    assert " --kind maximum " in fuse
    assert "results/metrics/mine/voc_val.json" in re.search(r"segrepro evaluate .*/mine/voc_val.*", done.stdout)[0]
    (made,) = re.findall(r"segrepro table accuracy (.*) &> ", done.stdout)
    assert made.startswith("--metrics results/metrics/fcn32s/voc_val.json results/metrics/fcn32s/seg11valid.json")
    assert "--out results/tables/accuracy.csv results/tables/accuracy.md results/tables/accuracy.tex" in made
    page = re.search(r"segrepro page .*", done.stdout)[0]
    assert "results/figures/accuracy/voc_val.png" in page
    assert "results/tables/accuracy.csv" in page
