"""Named datasets: the set rules, on tiny folders and on the official id lists' counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro.cli import main
from segrepro.data.datasets import DATASETS, FOLDERS, build_dataset
from segrepro.data.id_lists import read_ids
from segrepro.errors import UserError
from segrepro.files import ids_sha256
from segrepro.labels import LABEL_SPACES
from segrepro.stores.manifests import read_manifest


def make_folder(folder: Path, lists: dict[str, list[str]], masks: tuple[str, ...] = ("masks",)) -> Path:
    """A dataset folder with empty pictures and masks: the rules only look at names."""
    for name in ("images", "lists", *masks):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, ids in lists.items():
        (folder / "lists" / f"{name}.txt").write_text("".join(f"{i}\n" for i in ids))
        for picture in ids:
            (folder / "images" / f"{picture}.jpg").touch()
            for mask in masks:
                (folder / mask / f"{picture}.png").touch()
    return folder


@pytest.fixture
def folders(tmp_path):
    voc = {"train": ["t1", "t2"], "val": ["v1", "v2", "v3"], "trainval": ["t1", "t2", "v1", "v2", "v3"]}
    coco = {"coco20": ["000000000001"], "coco90": ["000000000001", "000000000002"]}
    both = ("masks_coco20", "masks_coco90")
    return {
        "voc2012": make_folder(tmp_path / "voc2012", voc),
        "voc2012_test": make_folder(tmp_path / "voc2012_test", {"test": ["x2", "x1"]}, masks=()),
        "sbd": make_folder(tmp_path / "sbd", {"train": ["s1", "t2", "v2"], "val": ["s2", "v3"]}),
        "coco_train": make_folder(tmp_path / "coco2017" / "train2017", coco, both),
        "coco_val": make_folder(
            tmp_path / "coco2017" / "val2017", {"coco20": ["000000000009"], "coco90": ["000000000009"]}, both
        ),
    }


def ids(examples):
    return [example.id for example in examples]


def test_the_registry_has_the_datasets_of_the_experiment():
    names = "voc_train voc_val voc_trainval trainaug sbd_train seg11valid coco20 coco90 coco20_val coco90_val voc_test"
    assert list(DATASETS) == names.split()
    for dataset in DATASETS.values():
        assert set(dataset.needs) <= set(FOLDERS)
        assert dataset.has_masks == (dataset.label_space in LABEL_SPACES)


def test_the_registry_loads_nothing_heavy():
    heavy = ["numpy", "pandas", "PIL", "cv2", "matplotlib", "tensorflow", "scipy"]
    code = f"import sys; import segrepro.data.datasets; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("voc_train", ["t1", "t2"]),
        ("voc_val", ["v1", "v2", "v3"]),
        ("voc_trainval", ["t1", "t2", "v1", "v2", "v3"]),
        ("trainaug", ["s1", "s2", "t1", "t2"]),
        ("sbd_train", ["s1", "t2", "v2"]),
        ("seg11valid", ["v1", "v3"]),
        ("coco20", ["000000000001"]),
        ("coco90", ["000000000001", "000000000002"]),
        ("coco20_val", ["000000000009"]),
        ("coco90_val", ["000000000009"]),
        ("voc_test", ["x1", "x2"]),
    ],
)
def test_each_dataset_lists_its_pictures(folders, name, expected):
    needed = {key: folders[key] for key in DATASETS[name].needs}  # what `needs` says is enough
    examples = build_dataset(name, needed)
    assert ids(examples) == expected
    assert all(example.image.exists() for example in examples)
    assert all((example.mask is not None) == DATASETS[name].has_masks for example in examples)


def test_trainaug_takes_vocs_masks_for_vocs_pictures(folders):
    sources = {e.id: (e.image.parts[-3], e.mask.parts[-3]) for e in build_dataset("trainaug", folders)}
    assert sources == {
        "s1": ("sbd", "sbd"),
        "s2": ("sbd", "sbd"),
        "t1": ("voc2012", "voc2012"),
        "t2": ("voc2012", "voc2012"),
    }


def test_coco_datasets_take_the_masks_of_their_label_space(folders):
    assert build_dataset("coco20", folders)[0].mask.parent.name == "masks_coco20"
    assert build_dataset("coco90_val", folders)[0].mask.parent.name == "masks_coco90"


def test_seg11valid_is_restricted_to_voc_2011_when_its_list_is_given(folders, tmp_path):
    listed = tmp_path / "val2011.txt"
    listed.write_text("v3\nv2\nelsewhere\n")
    assert ids(build_dataset("seg11valid", folders | {"voc2011_val": listed})) == ["v3"]
    listed.write_text("t1\n")
    with pytest.raises(UserError, match=r"val2011\.txt: names no picture"):
        build_dataset("seg11valid", folders | {"voc2011_val": listed})


PICTURES = st.sets(st.sampled_from([f"p{n}" for n in range(12)]))


@settings(max_examples=40, deadline=None)
@given(PICTURES, PICTURES, PICTURES, PICTURES)
def test_the_set_rules_hold_for_any_overlap(tmp_path_factory, train, val, sbd_train, sbd_val):
    val = val - train
    root = tmp_path_factory.mktemp("sets")
    folders = {
        "voc2012": make_folder(root / "voc", {"train": sorted(train), "val": sorted(val)}),
        "sbd": make_folder(root / "sbd", {"train": sorted(sbd_train), "val": sorted(sbd_val)}),
    }
    for name, expected in (
        ("trainaug", (train | sbd_train | sbd_val) - val),
        ("seg11valid", val - sbd_train),
    ):
        if expected:
            assert ids(build_dataset(name, folders)) == sorted(expected)
        else:
            with pytest.raises(UserError, match="no pictures"):
                build_dataset(name, folders)


@pytest.mark.parametrize(("kind", "suffix", "what"), [("images", ".jpg", "picture"), ("masks", ".png", "mask")])
def test_a_listed_file_that_is_missing_is_named(folders, kind, suffix, what):
    (folders["sbd"] / kind / f"s2{suffix}").unlink()
    with pytest.raises(UserError, match=rf"sbd/{kind}/s2\{suffix}: the {what} is missing, .*\(1 missing in all\)"):
        build_dataset("trainaug", folders)


def test_a_folder_that_is_not_given_names_its_option(folders):
    with pytest.raises(UserError, match=r"give it with --sbd .*convert sbd"):
        build_dataset("trainaug", folders | {"sbd": None})


def test_the_other_coco_split_is_refused(folders):
    with pytest.raises(UserError, match="give the folder train2017"):
        build_dataset("coco20", {"coco_train": folders["coco_val"]})


def test_a_picture_in_both_train_and_val_is_refused(folders):
    make_folder(folders["voc2012"], {"train": ["t1", "v1"]})
    with pytest.raises(UserError, match=r"'v1' is in both train\.txt and val\.txt"):
        build_dataset("trainaug", folders)


def test_a_trainval_that_is_not_the_union_is_refused(folders):
    make_folder(folders["voc2012"], {"trainval": ["t1", "t2", "v1", "v2"]})
    with pytest.raises(UserError, match=r"not the union .*'v3'"):
        build_dataset("voc_trainval", folders)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\na\n", "'a' is listed twice"),
        (b"../../etc/passwd\n", "is no picture id"),
        (b"a b\n", "is no picture id"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path, content, message):
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_ids(tmp_path / "train.txt")
    assert "train.txt" in str(error.value)


def test_lists_with_blank_lines_or_windows_line_ends_are_read(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"b\r\n\r\na\r\n\n")
    assert read_ids(tmp_path / "l.txt") == ["a", "b"]


def test_the_verb_writes_a_manifest_that_reads_back(folders, tmp_path):
    out = tmp_path / "results" / "trainaug.csv"
    main(["manifest", "trainaug", "--voc", str(folders["voc2012"]), "--sbd", str(folders["sbd"]), "--out", str(out)])
    assert ids(read_manifest(out)) == ["s1", "s2", "t1", "t2"]
    first = out.read_bytes()
    main(["manifest", "trainaug", "--voc", str(folders["voc2012"]), "--sbd", str(folders["sbd"]), "--out", str(out)])
    assert out.read_bytes() == first


def test_the_verb_ends_with_one_sentence_and_writes_nothing(folders, tmp_path):
    (folders["voc2012"] / "masks" / "v1.png").unlink()
    out = tmp_path / "results" / "val.csv"
    with pytest.raises(SystemExit, match=r"^segrepro manifest: .*v1\.png: the mask is missing"):
        main(["manifest", "voc_val", "--voc", str(folders["voc2012"]), "--out", str(out)])
    assert not out.exists()


OFFICIAL_LISTS = os.environ.get("SEGREPRO_OFFICIAL_LISTS")


@pytest.mark.real
@pytest.mark.skipif(not OFFICIAL_LISTS, reason="set SEGREPRO_OFFICIAL_LISTS to a folder of the official id lists")
def test_the_counts_and_hashes_in_the_config_are_those_of_the_official_lists(merged_config):
    train, val, trainaug = (read_ids(Path(OFFICIAL_LISTS) / f"{n}.txt") for n in ("train", "val", "train_aug"))
    for name, listed in (
        ("voc_train", train),
        ("voc_val", val),
        ("voc_trainval", train + val),
        ("trainaug", trainaug),
    ):
        expected = merged_config("full")["datasets"][name]
        assert expected["pictures"] == len(listed)
        assert expected["ids_sha256"] == ids_sha256(listed)
