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
    main(["repeat-classes", "--manifest", str(manifest), "--classes", *classes, "--times", times, "--out", str(out)])
    return {example.id: example.repeats for example in read_manifest(out)}


def test_pictures_with_one_of_the_classes_are_repeated(manifest):
    assert repeat(manifest, "chair", "bicycle") == {"a": 3, "b": 1, "c": 3, "d": 1}


def test_a_manifest_without_repeats_has_no_such_column(manifest):
    assert manifest.read_text().splitlines()[0] == "id,image,mask"
    assert {example.repeats for example in read_manifest(manifest)} == {1}


@pytest.mark.parametrize(("name", "message"), [("chare", "not in voc21"), ("sofa", "occurs in no picture")])
def test_a_class_that_cannot_be_repeated_is_named(manifest, name, message):
    with pytest.raises(SystemExit, match=rf"repeat-classes: class '{name}' .*{message}"):
        repeat(manifest, name)
    assert not manifest.with_name("out.csv").exists()


@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_impossible_repeats_are_refused(tmp_path, value):
    (tmp_path / "m.csv").write_text(f"id,image,mask,repeats\na,a.jpg,a.png,{value}\n")
    with pytest.raises(UserError, match=r"m\.csv, line 2"):
        read_manifest(tmp_path / "m.csv")
