"""Parts of datasets: what something is tuned or fitted on shares no picture with what is scored."""

import json
from pathlib import Path

import pytest

from segrepro.cli import main
from segrepro.files import ids_sha256
from segrepro.stores.manifests import Example, write_manifest


@pytest.fixture
def manifests(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, ids in {"train": "abc", "val": "xyz", "trainval": "abcxyz"}.items():
        write_manifest(Path(f"{name}.csv"), [Example(id, Path(f"{id}.jpg"), Path(f"{id}.png")) for id in ids])
    return tmp_path


def check(manifest: str, *forbidden: str) -> dict:
    main(["check-apart", "--manifest", manifest, "--forbid", *forbidden, "--out", "apart/s.json"])
    return json.loads(Path("apart/s.json").read_text())


def test_pictures_that_are_apart_pass_and_the_check_says_of_what(manifests):
    found = check("train.csv", "val.csv")
    assert found == {"manifest": "train", "pictures": 3, "ids_sha256": ids_sha256(list("abc")), "apart_from": ["val"]}


def test_a_picture_that_is_scored_later_is_named_before_anything_trains(manifests):
    with pytest.raises(SystemExit, match=r"trainval\.csv: 3 pictures are in val\.csv too, the first is 'x'; tune and"):
        check("trainval.csv", "val.csv")
    assert not Path("apart").exists()
    with pytest.raises(SystemExit, match=r"none\.csv"):
        check("train.csv", "val.csv", "none.csv")
    assert not Path("apart").exists()
