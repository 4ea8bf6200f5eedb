import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import jpeg_bytes, mat_bytes, picture, scene, write_sbd_tgz
from segrepro.cli import main
from segrepro.data.sbd import convert_sbd, read_class_mask, read_instances
from segrepro.errors import UserError

IDS = ("2008_000002", "2008_000003", "2008_000004")
PICTURES = {key: picture(seed) for seed, key in enumerate(IDS)}
SCENES = dict(zip(IDS, (scene(1, 15, void=False), scene(20, void=False), scene(8, 8, void=False)), strict=True))
LISTS = {"train": list(IDS[:2]), "val": [IDS[2]]}
MASK, OBJECTS = SCENES[IDS[1]]


def sbd_tgz(tmp_path, **faults):
    return write_sbd_tgz(tmp_path / "benchmark.tgz", PICTURES, SCENES, LISTS, **faults)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_dataset_folder_holds_what_the_archive_holds(tmp_path):
    unlisted = {"img/2011_000001.jpg": jpeg_bytes(picture(9)), "img/._2008_000002.jpg": b"resource fork"}
    summary = convert_sbd(sbd_tgz(tmp_path, replace=unlisted), tmp_path / "sbd")
    found = contents(tmp_path / "sbd")
    expected = {f"{kind}/{key}.png" for kind in ("masks", "instances") for key in IDS}
    expected |= {f"images/{key}.jpg" for key in IDS} | {f"lists/{name}.txt" for name in LISTS} | {"summary.json"}
    assert set(found) == expected
    for key in IDS:
        assert found[f"images/{key}.jpg"] == jpeg_bytes(PICTURES[key])
        for kind, array in zip(("masks", "instances"), SCENES[key], strict=True):
            with Image.open(tmp_path / "sbd" / kind / f"{key}.png") as written:
                assert written.mode == "L"
                np.testing.assert_array_equal(np.array(written), array)
    assert summary["pictures"] == 3
    assert summary["instances_unlike_mask"] == 0
    assert found["lists/train.txt"] == f"{IDS[0]}\n{IDS[1]}\n".encode()


def test_one_and_two_processes_write_the_same_bytes(tmp_path):
    archive = sbd_tgz(tmp_path)
    convert_sbd(archive, tmp_path / "one", threads=1)
    convert_sbd(archive, tmp_path / "two", threads=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


CLS, INST, JPEG = f"cls/{IDS[1]}.mat", f"inst/{IDS[1]}.mat", f"img/{IDS[1]}.jpg"
NO_CATEGORIES = np.zeros((0, 0), np.uint8)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"leave_out": (CLS,)}, f"{CLS}: missing, though"),
        ({"leave_out": (INST,)}, f"{INST}: missing, though"),
        ({"leave_out": (JPEG,)}, f"{JPEG}: missing, though"),
        ({"leave_out": ("val.txt",)}, "no member benchmark_RELEASE/dataset/val.txt; use SBD's benchmark.tgz"),
        ({"replace": {CLS: b"not matlab"}}, f"{CLS}: is no SBD file with GTcls"),
        ({"replace": {CLS: b""}}, f"{CLS}: is no SBD file"),
        ({"replace": {CLS: mat_bytes("GTcls", Segmentation=MASK)[:150]}}, f"{CLS}: is no SBD file"),
        ({"replace": {CLS: mat_bytes("other", Segmentation=MASK)}}, f"{CLS}: is no SBD file"),
        ({"replace": {CLS: mat_bytes("GTcls", Boundaries=MASK)}}, f"{CLS}: is no SBD file"),
        ({"replace": {CLS: mat_bytes("GTcls", Segmentation=MASK + 0.5)}}, f"{CLS}: a value is no whole number"),
        ({"replace": {CLS: mat_bytes("GTcls", Segmentation=MASK * np.nan)}}, f"{CLS}: a value is no whole"),
        ({"replace": {CLS: mat_bytes("GTcls", Segmentation=MASK.astype(int) + 256)}}, f"{CLS}: a value is no"),
        (
            {"replace": {CLS: mat_bytes("GTcls", Segmentation="text")}},
            f"{CLS}: is no SBD file with GTcls and its Segmentation (Segmentation is no",
        ),
        ({"replace": {CLS: mat_bytes("GTcls", Segmentation=scene(5)[0])}}, f"{CLS}: label 255 occurs"),
        ({"replace": {CLS: mat_bytes("GTcls", Segmentation=MASK.T)}}, f"{CLS}: the mask is 24 x 32"),
        (
            {"replace": {INST: mat_bytes("GTinst", Segmentation=OBJECTS, Categories=NO_CATEGORIES)}},
            f"{INST}: object 1 occurs, but Categories has 0 entries",
        ),
        (
            {"replace": {INST: mat_bytes("GTinst", Segmentation=OBJECTS, Categories=np.array([[21]]))}},
            f"{INST}: category 21 is no class",
        ),
        ({"replace": {JPEG: b"\xff\xd8\xff"}}, f"{JPEG}: the picture cannot be read"),
    ],
)
def test_a_faulty_archive_is_refused_by_member_and_nothing_remains(tmp_path, fault, message):
    archive = sbd_tgz(tmp_path, **fault)
    with pytest.raises(UserError) as caught:
        convert_sbd(archive, tmp_path / "out" / "sbd")
    assert message in str(caught.value)
    assert str(archive) in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_whole_numbers_stored_as_doubles_are_taken():
    content = mat_bytes("GTcls", Segmentation=MASK.astype(float))
    np.testing.assert_array_equal(read_class_mask(content, name="m"), MASK)


def test_objects_come_with_their_categories_however_these_lie():
    for shape in ((2, 1), (1, 2)):
        content = mat_bytes(
            "GTinst", Segmentation=SCENES[IDS[0]][1], Categories=np.array([1, 15], np.uint8).reshape(shape)
        )
        instances, labels = read_instances(content, name="m")
        np.testing.assert_array_equal(instances, SCENES[IDS[0]][1])
        assert labels == [1, 15]


def test_a_picture_without_objects_is_no_fault():
    empty = np.zeros((4, 5), np.uint8)
    instances, labels = read_instances(mat_bytes("GTinst", Segmentation=empty, Categories=NO_CATEGORIES), name="m")
    assert instances.sum() == 0
    assert labels == []


def test_categories_that_contradict_the_class_masks_are_refused(tmp_path):
    wrong = {
        f"inst/{key}.mat": mat_bytes("GTinst", Segmentation=objects, Categories=np.array([[2], [3]], np.uint8))
        for key, (_, objects) in SCENES.items()
    }
    with pytest.raises(UserError, match="3 of 3 pictures' objects disagree with their class masks"):
        convert_sbd(sbd_tgz(tmp_path, replace=wrong), tmp_path / "sbd")


def test_the_verb_converts_and_says_what_came_out(tmp_path, capsys):
    main(["convert", "sbd", "--archives", str(sbd_tgz(tmp_path)), "--out", str(tmp_path / "sbd")])
    assert "3 pictures (train 2, val 1)" in capsys.readouterr().out


@pytest.mark.real
def test_the_real_subset_converts_with_its_counts(tmp_path):
    folder = Path(os.environ.get("SEGREPRO_REAL_SUBSET", "/nonexistent"))
    if not folder.is_dir():
        pytest.skip("set SEGREPRO_REAL_SUBSET to the folder of the real subset")
    summary = convert_sbd(folder / "benchmark.tgz", tmp_path / "sbd", threads=2)
    assert summary["pictures"] == 260
    assert summary["instances_unlike_mask"] == 0
