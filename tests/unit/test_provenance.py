"""Provenance: which code, data, config and machine a number comes from."""

import ast
import csv
import hashlib
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from networks import spec_of
from segrepro.cli import main
from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.graph import graph_of
from segrepro.provenance import code as code_module
from segrepro.provenance.code import (
    PACKAGE,
    TRAINING,
    _meaning,
    age,
    git_state,
    import_closure,
    module_sha256,
    oldest,
    package_sha256,
    training_sha256,
    written_by,
)
from segrepro.provenance.machine import PACKAGES, command_text, gpu_names, hardware, versions
from segrepro.provenance.made import UNKNOWN_CODE, note_devices, note_training_code, read_made, write_made
from segrepro.provenance.origin import origin
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreWriter

UNKNOWN_STATE = {"commit": "unknown", "dirty": "unknown"}


# ---- the code


@pytest.fixture
def package(tmp_path) -> Path:
    """A small package of the same shape: a training that reaches two modules, and a figure."""
    root = tmp_path / "checkout/segrepro"
    files = {
        "__init__.py": '"""Package."""\n',
        "training/__init__.py": "",
        "training/experiment.py": '"""Trains."""\nfrom segrepro.training import steps\n\n\ndef go():\n    steps\n',
        "training/steps.py": "def step(x):\n    from segrepro import files\n\n    return files.f(x) + 1\n",
        "files.py": "def f(x):\n    return x\n",
        "figure.py": "from segrepro import files\n\nWIDTH = 3\n",
        "provenance/__init__.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def hashes(package: Path) -> tuple[str, str]:
    module_sha256.cache_clear()
    return package_sha256(package), training_sha256(package)


# Of the config, codes that train and predict reach the sections that they take, and not the whole.
WHOLE_CONFIG = {f"segrepro.config.{name}" for name in ("experiment", "figures", "parsing", "systems", "tables")}


def test_the_closure_is_what_a_training_reaches(package):
    names = ["", ".files", ".training", ".training.experiment", ".training.steps"]
    assert import_closure(TRAINING, package) == [f"segrepro{name}" for name in names]


def test_figures_tables_and_verbs_make_no_model():
    closure = set(import_closure(TRAINING))
    assert {"segrepro.models.fcn", "segrepro.training.losses", "segrepro.data.masks", "segrepro.labels"} <= closure
    assert not {m for m in closure if m.split(".")[1:2] in (["report"], ["verbs"], ["evaluation"], ["provenance"])}
    assert not WHOLE_CONFIG & closure


@pytest.mark.parametrize(
    ("file", "before", "after", "changed"),
    [
        ("figure.py", "WIDTH = 3", "WIDTH = 4", (True, False)),
        ("figure.py", "WIDTH", "# wide\nWIDTH", (True, False)),
        ("training/steps.py", "+ 1", "+ 2", (True, True)),
        ("files.py", "return x", "return 2 * x", (True, True)),
        ("files.py", "return x", "# why\n    return (x)", (True, False)),
        ("training/experiment.py", "Trains.", "Trains a model.", (True, False)),
        ("__init__.py", "Package.", "The package.", (True, False)),
    ],
)
def test_only_what_a_training_does_changes_its_hash(package, file, before, after, changed):
    first = hashes(package)
    path = package / file
    path.write_text(path.read_text().replace(before, after))
    second = hashes(package)
    assert tuple(a != b for a, b in zip(first, second, strict=True)) == changed


def test_compiled_files_count_for_nothing(package):
    before = hashes(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__/files.cpython-311.pyc").write_bytes(b"x")
    assert hashes(package) == before


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("x = None", "x = 0", False),
        ("def f():\n    return None", "def f():\n    return", False),
        ("x = 'a'", 'x = "a"', True),
        ("f(a, b=1)", "f(a, c=1)", False),
        ("x = 1", "x = True", False),
        ("def f():\n    'doc'\n    g()", "def f():\n    g()", True),
        ("def f():\n    g('doc')", "def f():\n    g('cod')", False),
    ],
)
def test_the_text_of_a_syntax_tree_tells_meanings_apart(first, second, same):
    assert (_meaning(ast.parse(first)) == _meaning(ast.parse(second))) == same


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_checkout_that_tracks_the_sources(package):
    checkout = package.parent
    assert git_state(package) == UNKNOWN_STATE
    git(checkout, "init", "-q")
    assert git_state(package) == UNKNOWN_STATE  # a package that merely lies in somebody's checkout
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "first")
    assert git_state(package) == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}
    (checkout / "mine.yaml").write_text("seed: 1\n")
    assert git_state(package)["dirty"] is False
    (package / "files.py").write_text("def f(x):\n    return 3\n")
    assert git_state(package)["dirty"] is True


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_state(PACKAGE) == UNKNOWN_STATE


# ---- the machine and the command


def test_versions_are_of_the_direct_dependencies(project_root):
    listed = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {requirement.split(">")[0].split("<")[0].split("=")[0] for requirement in listed}
    assert set(PACKAGES) == names
    assert versions()["numpy"] == np.__version__


def test_hardware_is_told_without_tensorflow():
    found = hardware()
    assert found["cores"] >= 1
    assert found["cpu"]
    assert found["memory_gib"] >= 1


def test_gpus_are_read_from_the_drivers_files_or_nvidia_smi(tmp_path, monkeypatch):
    for bus, model in (("0000:02:00.0", "NVIDIA B"), ("0000:01:00.0", "NVIDIA A")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t {model}\nIRQ: 1\n")
    assert gpu_names(tmp_path) == ["NVIDIA A", "NVIDIA B"]
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'NVIDIA C'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    assert gpu_names(tmp_path / "none") == ["NVIDIA C"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert gpu_names(tmp_path / "none") == []
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu_names(tmp_path / "none") == []


def test_a_command_has_neither_absolute_paths_nor_what_changes_no_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["train", "--threads", "8", "--spec", f"{tmp_path}/a b.yaml", "--checkpoint-every=7", f"--out={tmp_path}/x"]
    assert command_text([*argv, "--seed", "0"]) == "segrepro train --spec 'a b.yaml' --out=x --seed 0"


# ---- what made a model


def code(name: str, commit: str = "c") -> dict:
    return {"training_sha256": name, "commit": commit, "dirty": False}


def test_a_training_that_one_code_made_has_one_entry_however_often_it_was_killed(tmp_path):
    first = note_training_code(tmp_path, code("a", "1"), resumed=False)
    assert note_training_code(tmp_path, code("a", "2"), resumed=True) == first == [code("a", "1")]


def test_a_training_resumed_by_other_code_lists_both(tmp_path):
    note_training_code(tmp_path, code("a"), resumed=False)
    assert note_training_code(tmp_path, code("b"), resumed=True) == [code("a"), code("b")]
    assert note_training_code(tmp_path, code("b"), resumed=False) == [code("b")]


@pytest.mark.parametrize("content", [None, "", "{}", "[]", "[1]", '[{"commit": "x"}]'])
def test_checkpoints_of_nobody_knows_which_code_are_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "code.json").write_text(content)
    assert note_training_code(tmp_path, code("b"), resumed=True) == [UNKNOWN_CODE, code("b")]


ONE, TWO = ({"shared_by": n, "gpus": [{"name": "A100", "id": str(i)} for i in range(n)], "alone": None} for n in (1, 2))


def test_a_training_that_went_on_with_other_gpus_names_all_of_them(tmp_path):
    note_devices(tmp_path, ONE, resumed=False)
    assert note_devices(tmp_path, ONE, resumed=True) == [ONE]
    assert note_devices(tmp_path, TWO, resumed=True) == [ONE, TWO]
    assert note_devices(tmp_path, TWO, resumed=False) == [TWO]


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_devices_that_nobody_noted_are_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "devices.json").write_text(content)
    unknown, now = note_devices(tmp_path, ONE, resumed=True)
    assert (unknown["shared_by"], unknown["gpus"], now) == ("unknown", "unknown", ONE)


@pytest.mark.parametrize(
    ("made_by", "expected"),
    [(["now"], "same"), (["then"], "older"), (["then", "now"], "older"), (["unknown", "now"], "unknown")],
)
def test_a_model_is_as_old_as_the_oldest_code_that_made_it(made_by, expected):
    assert age(made_by, "now") == expected


def test_a_system_is_as_old_as_its_oldest_model():
    assert oldest(["same", "older", "unknown"]) == "older"
    assert oldest(["same", "unknown"]) == "unknown"
    assert oldest([]) is None


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": "m"}'])
def test_what_is_no_made_json_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "made.json").write_text(content)
    with pytest.raises(UserError, match=r"made\.json: .*make the model again"):
        read_made(tmp_path / "made.json")


# ---- what a system depends on


@pytest.fixture
def traced(merged_config):
    """Return the origin of a system of the full scale, after a change of the config."""

    def trace(system: str, split: str = "voc_val", **change: dict):
        merged = merged_config("full")
        for path, value in change.items():
            *keys, last = path.split("__")
            place = merged
            for key in keys:
                place = place[key]
            place[last] = value
        config = parse_config(merged)
        return origin(config, graph_of(config), system, split)

    return trace


def test_an_origin_names_datasets_models_and_files_of_all_ancestors(traced):
    found = traced("edeconvnet_crf", "seg11valid")
    assert found.datasets == ("sbd_train", "seg11valid", "trainaug")
    assert found.models == ("deconvnet_stage1", "deconvnet_stage2", "fcn16s", "fcn32s", "fcn8s")
    assert found.files == (
        *("VOCtrainval_11-May-2012.tar", "benchmark.tgz", "structured_forest.yml.gz"),
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    )


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"figures__grid__worst": 2}, True),
        ({"runtime__checkpoint_every": 7}, True),
        ({"archives_dir": "/archives"}, True),
        ({"archives__sbd__urls": ["http://example.org/benchmark.tgz"]}, True),
        ({"weights__vgg16_imagenet__urls": []}, True),
        ({"systems__edeconvnet__published": {"voc_val": {"miou": 70.0, "source": "x"}}}, True),
        ({"systems__edeconvnet__splits": ["voc_val", "seg11valid"]}, True),
        ({"models__deeplabv3_trainaug__dataset": "voc_train"}, True),
        ({"coco__min_pixels": 7}, True),
        ({"seed": 1}, False),
        ({"protocols__fcn32s__momentum": 0.9}, False),
        ({"systems__fcn8s__prediction": {"scales": [0.5]}}, False),
        ({"proposals__edge_boxes__max_boxes": 7}, False),
        ({"systems__edeconvnet__fusion__kind": "product"}, False),
    ],
)
def test_the_config_hash_changes_with_what_the_scores_depend_on(traced, change, same):
    assert (traced("edeconvnet", **change).config_sha256 == traced("edeconvnet").config_sha256) == same


# ---- the files of a run


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """Return a function that makes a folder with one system's store, masks and model, and goes there."""

    def make(name: str, training: str | None = None) -> Path:
        folder = tmp_path / name
        (folder / "masks").mkdir(parents=True)
        monkeypatch.chdir(folder)
        labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
        Image.fromarray(labels).save("masks/p.png")
        write_manifest(Path("val.csv"), [Example("p", Path("p.jpg"), Path("masks/p.png"))])
        with ScoreWriter(Path("s.h5"), system="s", label_space="voc21", kind="labels", resize="legacy") as store:
            store.add("p", labels, size=(3, 4))
        codes = [code(training or training_sha256())]
        write_made(Path("made.json"), spec_of({}, seed=5), argv=["train", "--threads", "2"], codes=codes)
        Path("data.tar").write_bytes(b"archive")
        main(["checksum", "data.tar", "--out", "data.json"])
        Path("check.json").write_text('{"manifest": "val", "ids_sha256": "abc"}')
        return folder

    return make


def evaluate(*options: str) -> dict:
    files = ["--scores", "s.h5", "--manifest", "val.csv", "--json", "m/s.json", "--confusions", "m/s.npz"]
    origin = ["--config-sha256", "c0ffee", "--seed", "5", "--checksums", "data.json", "--datasets", "check.json"]
    main(["evaluate", *files, *origin, "--made", "made.json", *options])
    return json.loads(Path("m/s.json").read_text())["provenance"]


def test_metrics_carry_their_provenance(run_folder):
    run_folder("a")
    found = evaluate()
    assert (found["config_sha256"], found["seed"], found["datasets"]) == ("c0ffee", 5, {"val": "abc"})
    assert found["files"] == {"data.tar": hashlib.sha256(b"archive").hexdigest()}
    assert found["models"]["m"]["code"] == found["model_code"] == "same"
    assert found["code"]["sha256"] == package_sha256()
    assert found["command"].startswith("segrepro evaluate --scores s.h5 --manifest val.csv")


def test_metrics_are_the_same_bytes_in_any_folder_with_any_threads(run_folder):
    contents = []
    for name, options in (("a", ()), ("b/c", ("--threads", "2"))):
        folder = run_folder(name)
        evaluate(*options)
        contents.append((folder / "m/s.json").read_bytes())
    assert contents[0] == contents[1]
    assert str(Path.cwd()).encode() not in contents[0]


def test_a_number_of_an_older_model_is_marked(run_folder, capsys):
    run_folder("a", training="f" * 64)
    assert evaluate()["model_code"] == "older"
    files = ["--metrics", "m/s.json", "--made", "made.json", "--checksums", "data.json", "--datasets", "check.json"]
    outputs = ["--out", "provenance.json", "--table", "provenance.csv"]
    main(["provenance", *files, "--scale", "sample", "--seed", "5", *outputs])
    assert "models made by other code than scored them: s" in capsys.readouterr().out
    found = json.loads(Path("provenance.json").read_text())
    assert found["older"] == ["s"]
    assert found["models"]["m"]["command"] == "segrepro train"
    assert "versions" not in found["systems"]["s"]["val"]
    with Path("provenance.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert (row["system"], row["split"], row["model_code"], row["models"]) == ("s", "val", "older", "m: older")
    assert row["data_sha256"] == "abc"


def test_metrics_say_which_code_predicted_what_they_score(run_folder):
    run_folder("a")
    assert evaluate()["scores_code"] == "unknown"  # a store that does not say
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    header = {"system": "s", "label_space": "voc21", "kind": "labels", "resize": "legacy"}
    for part, code in {
        "m1": written_by("segrepro.inference.predict"),
        "m2": written_by("segrepro.inference.predict"),
        "m3": (("segrepro.inference.predict", "f" * 64), ("segrepro.gone", "0" * 64)),
    }.items():
        with ScoreWriter(Path(f"{part}.h5"), **header, code=code) as store:
            store.add("p", labels, size=(3, 4))
    fuse = ["fuse", "--kind", "vote", "--ties", "lowest", "--system", "s", "--out", "s.h5", "--members"]
    main([*fuse, "m1.h5", "m2.h5", "m3.h5", "--names", "m1", "m2", "m3"])
    found = evaluate()
    assert [(part["module"].removeprefix("segrepro."), part["code"]) for part in found["scores"]] == [
        ("fusion.fuse", "same"),
        ("gone", "older"),
        *sorted([("inference.predict", "same"), ("inference.predict", "older")], key=lambda pair: pair[1] == "older"),
    ]
    assert (found["scores_code"], found["model_code"]) == ("older", "same")


def test_scores_of_older_code_are_marked_in_the_overview(run_folder, capsys):
    run_folder("a")
    evaluate()
    metrics = json.loads(Path("m/s.json").read_text())
    metrics["provenance"] |= {"scores": [{"module": "x", "sha256": "1", "code": "older"}], "scores_code": "older"}
    Path("m/older.json").write_text(json.dumps(metrics | {"system": "o"}))
    del metrics["provenance"]["scores"], metrics["provenance"]["scores_code"]
    Path("m/former.json").write_text(json.dumps(metrics | {"system": "f"}))  # of a version that did not note it
    outputs = ["--scale", "sample", "--out", "provenance.json", "--table", "provenance.csv"]
    main(["provenance", "--metrics", "m/older.json", "m/former.json", *outputs])
    assert "scores predicted by other code: o\n" in capsys.readouterr().out
    assert json.loads(Path("provenance.json").read_text())["older_scores"] == ["o"]
    with Path("provenance.csv").open() as stream:
        rows = [(row["system"], row["scores_code"], row["scores"]) for row in csv.DictReader(stream)]
    assert rows == [("o", "older", "x: older"), ("f", "unknown", "")]


def test_what_writes_scores_is_told_apart_and_knows_no_figure():
    writers = ("inference.predict", "inference.proposalwise", "fusion.fuse", "fusion.stacker", "fusion.crf_store")
    assert len({module_sha256(f"segrepro.{name}") for name in writers}) == len(writers)
    for name in writers:
        closure = import_closure(f"segrepro.{name}")
        assert {"segrepro.stores.scores", "segrepro.labels"} <= set(closure)
        assert not {m for m in closure if m.split(".")[1:2] in (["report"], ["verbs"], ["provenance"])}
        sections = {"segrepro.config.systems", "segrepro.config.tables"}  # what predicts and fuses is declared there
        assert not (WHOLE_CONFIG - sections) & set(closure)
    assert "segrepro.models.deeplabv3" in import_closure("segrepro.inference.predict")


def test_metrics_without_provenance_are_refused_by_the_overview(run_folder):
    run_folder("a")
    Path("old.json").write_text('{"system": "s", "split": "val"}')
    with pytest.raises(SystemExit, match=r"old\.json: carries no provenance; evaluate it again"):
        main(["provenance", "--metrics", "old.json", "--scale", "sample", "--out", "p.json", "--table", "p.csv"])
    assert not Path("p.json").exists()


def test_a_checksum_that_the_config_got_later_is_compared_and_the_file_stays(run_folder):
    run_folder("a")
    right = hashlib.md5(b"archive").hexdigest()
    main(["checksum", "data.tar", "--md5", right, "--bytes", "7", "--out", "again.json"])
    assert Path("again.json").read_bytes() == Path("data.json").read_bytes()
    for wrong in (["--md5", "0" * 32], ["--sha256", "0" * 64], ["--bytes", "8"]):
        with pytest.raises(SystemExit, match=r"data\.tar: has .*expected.*; mend what the config says"):
            main(["checksum", "data.tar", *wrong, "--out", "wrong.json"])
    assert Path("data.tar").read_bytes() == b"archive"
    assert not Path("wrong.json").exists()


def test_a_wrong_file_is_named(run_folder):
    run_folder("a")
    with pytest.raises(SystemExit, match=r"made\.json: not what `segrepro checksum` writes"):
        evaluate("--checksums", "made.json")
    with pytest.raises(SystemExit, match=r"none\.tar: no such file; fetch it again"):
        main(["checksum", "none.tar", "--out", "x.json"])
    assert not Path("m").exists()


def test_the_hash_of_the_training_code_is_no_part_of_itself():
    assert not [module for module in import_closure(TRAINING) if module.startswith(code_module.LEFT_OUT)]


def test_the_tuning_pictures_of_a_crf_come_from_their_dataset(merged_config):
    config = parse_config(merged_config("full"))
    tuned = origin(config, graph_of(config), "deeplabv3_phase2_ms_flip_crf_tuned", "voc_val")
    assert tuned.datasets == ("trainaug", "voc_train", "voc_val")
