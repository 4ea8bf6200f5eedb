"""Training sets in which the pictures of chosen classes come several times."""

import numpy as np
import pytest
from PIL import Image

from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.stores.manifests import Example, read_manifest, write_manifest

LABELS = {"a": [0, 9], "b": [0, 15], "c": [0, 2, 15, 255], "d": [0]}


@pytest.fixture
def manifest(tmp_path):
    for name, labels in LABELS.items():
        Image.fromarray(np.array([labels], np.uint8)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.jpg").touch()
    write_manifest(tmp_path / "m.csv", [Example(n, tmp_path / f"{n}.jpg", tmp_path / f"{n}.png") for n in LABELS])
    return tmp_path / "m.csv"


def repeat(manifest, *classes, times="3"):
    out = manifest.with_name("out.csv")
    files = ["--manifest", str(manifest), "--out", str(out), "--counts", str(manifest.with_name("counts.csv"))]
    main(["training-set", "repeat", *files, "--classes", *classes, "--times", times])
    return {example.id: example.repeats for example in read_manifest(out)}


def test_pictures_with_one_of_the_classes_are_repeated(manifest):
    assert repeat(manifest, "chair", "bicycle") == {"a": 3, "b": 1, "c": 3, "d": 1}


def test_the_table_counts_the_pictures_of_each_class_in_an_epoch(manifest):
    repeat(manifest, "chair")
    rows = dict(line.split(",", 1) for line in manifest.with_name("counts.csv").read_text().splitlines())
    assert rows["class"] == "pictures,examples"
    assert (rows["background"], rows["chair"], rows["person"]) == ("4,6", "1,3", "2,2")
    assert (rows["sofa"], rows["total"]) == ("0,0", "4,6")


def test_what_a_kind_of_training_set_does_not_know_is_refused(manifest):
    files = ["--manifest", str(manifest), "--out", "x.csv", "--counts", "y.csv"]
    for kind, option, value in (
        ("repeat", "--enlarge", "2"),
        ("objects", "--min-overlap", "0.7"),
        ("objects", "--classes", "chair"),
        ("proposals", "--times", "2"),
    ):
        with pytest.raises(SystemExit, match=f"{option} has no meaning for '{kind}'; leave it out"):
            main(["training-set", kind, *files, option, value])
    with pytest.raises(SystemExit, match="--classes"):
        main(["training-set", "repeat", *files, "--times", "2"])
    with pytest.raises(SystemExit, match="--proposals: is missing"):
        main(["training-set", "proposals", *files])


def test_a_manifest_without_repeats_has_no_such_column(manifest):
    assert manifest.read_text().splitlines()[0] == "id,image,mask"
    assert {example.repeats for example in read_manifest(manifest)} == {1}


@pytest.mark.parametrize(("name", "message"), [("chare", "not in voc21"), ("sofa", "occurs in no picture")])
def test_a_class_that_cannot_be_repeated_is_named(manifest, name, message):
    with pytest.raises(SystemExit, match=rf"training-set: class '{name}' .*{message}"):
        repeat(manifest, name)
    assert not manifest.with_name("out.csv").exists()


@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_impossible_repeats_are_refused(tmp_path, value):
    (tmp_path / "m.csv").write_text(f"id,image,mask,repeats\na,a.jpg,a.png,{value}\n")
    with pytest.raises(UserError, match=r"m\.csv, line 2"):
        read_manifest(tmp_path / "m.csv")
