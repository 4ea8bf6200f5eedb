import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders import jpeg_bytes, picture, png_bytes, scene, voc_xml, write_voc_tar
from segrepro.cli import main
from segrepro.data import conversion
from segrepro.data.voc import convert_voc
from segrepro.errors import UserError

IDS = ("2007_000033", "2008_000001", "2009_000002")
TRAIN, VAL = list(IDS[:2]), [IDS[2]]
PICTURES = {key: picture(seed) for seed, key in enumerate(IDS)}
SCENES = dict(zip(IDS, (scene(1, 15), scene(20), scene(8, 8, 12)), strict=True))
LISTS = {"train": TRAIN, "val": VAL, "trainval": list(IDS)}


def voc_tar(tmp_path, **faults):
    return write_voc_tar(tmp_path / "VOCtrainval_11-May-2012.tar", PICTURES, SCENES, LISTS, **faults)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_dataset_folder_holds_what_the_archive_holds(tmp_path):
    extra = {"JPEGImages/2010_000009.jpg": jpeg_bytes(picture(9)), "ImageSets/Main/cat_train.txt": b"x 1\n"}
    summary = convert_voc(voc_tar(tmp_path, replace=extra), tmp_path / "voc")
    expected = {f"{kind}/{key}.png" for kind in ("masks", "instances") for key in IDS}
    expected |= {f"images/{key}.jpg" for key in IDS} | {f"lists/{name}.txt" for name in LISTS} | {"summary.json"}
    found = contents(tmp_path / "voc")
    assert set(found) == expected  # pictures that no list names stay out
    for key in IDS:
        assert found[f"images/{key}.jpg"] == jpeg_bytes(PICTURES[key])
        for kind, array in zip(("masks", "instances"), SCENES[key], strict=True):
            with Image.open(tmp_path / "voc" / kind / f"{key}.png") as written:
                assert written.mode == "L"
                np.testing.assert_array_equal(np.array(written), array)
    assert found["lists/trainval.txt"] == "".join(f"{key}\n" for key in sorted(IDS)).encode()
    assert summary["lists"]["train"]["pictures"] == 2
    assert (summary["annotations_compared"], summary["masks_with_unnamed_class"]) == (3, 0)


def test_one_and_two_processes_write_the_same_bytes(tmp_path):
    archive = voc_tar(tmp_path)
    convert_voc(archive, tmp_path / "one", threads=1)
    convert_voc(archive, tmp_path / "two", threads=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_test_archive_gives_pictures_and_a_list_only(tmp_path):
    archive = write_voc_tar(tmp_path / "VOC2012test.tar", PICTURES, {}, {"test": list(reversed(IDS))})
    convert_voc(archive, tmp_path / "test", test=True)
    expected = {f"images/{key}.jpg" for key in IDS} | {"lists/test.txt", "summary.json"}
    assert set(contents(tmp_path / "test")) == expected
    assert (tmp_path / "test/lists/test.txt").read_text().split() == sorted(IDS)


def test_masks_may_be_grey_and_annotations_may_be_absent(tmp_path):
    grey = {f"SegmentationClass/{IDS[0]}.png": png_bytes(SCENES[IDS[0]][0], mode="L")}
    without = tuple(f"Annotations/{key}.xml" for key in IDS)
    summary = convert_voc(voc_tar(tmp_path, replace=grey, leave_out=without), tmp_path / "voc")
    assert summary["annotations_compared"] == 0
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / f"voc/masks/{IDS[0]}.png")), SCENES[IDS[0]][0])


MASK, OBJECTS = f"SegmentationClass/{IDS[1]}.png", f"SegmentationObject/{IDS[1]}.png"
JPEG, XML = f"JPEGImages/{IDS[1]}.jpg", f"Annotations/{IDS[1]}.xml"
TRAIN_LIST = "ImageSets/Segmentation/train.txt"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"leave_out": (JPEG,)}, f"{JPEG}: missing, though"),
        ({"leave_out": (MASK,)}, f"{MASK}: missing, though"),
        ({"leave_out": (OBJECTS,)}, f"{OBJECTS}: missing, though"),
        ({"leave_out": (TRAIN_LIST,)}, f"no member VOCdevkit/VOC2012/{TRAIN_LIST}"),
        ({"replace": {MASK: png_bytes(scene(20)[0].T.copy())}}, f"{MASK}: the mask is 24 x 32 pixels"),
        ({"replace": {OBJECTS: png_bytes(scene(1, width=40)[1])}}, f"{OBJECTS}: the mask is 40 x 24"),
        ({"replace": {MASK: png_bytes(scene(21)[0])}}, f"{MASK}: label 21 occurs"),
        ({"replace": {MASK: png_bytes(scene(20)[0], mode="RGB")}}, f"{MASK}: a PNG of mode RGB is no mask"),
        ({"replace": {MASK: b"x"}}, f"{MASK}: the mask cannot be read"),
        ({"replace": {JPEG: jpeg_bytes(picture())[:-200]}}, f"{JPEG}: the picture cannot be read"),
        ({"replace": {JPEG: png_bytes(scene(1)[0])}}, f"{JPEG}: the picture is a PNG, not a JPEG"),
        ({"replace": {XML: b"<annotation>"}}, f"{XML}: cannot be read"),
        ({"replace": {TRAIN_LIST: b""}}, f"{TRAIN_LIST}: the list is empty"),
        ({"replace": {TRAIN_LIST: b"2007_000033\n2007_000033\n"}}, f"{TRAIN_LIST}: picture '2007_000033' is listed"),
        ({"replace": {TRAIN_LIST: b"../../etc/passwd\n"}}, "is no picture id"),
        ({"replace": {TRAIN_LIST: b"\xff\xfe"}}, f"{TRAIN_LIST}: not a text file of picture ids"),
    ],
)
def test_a_faulty_archive_is_refused_by_member_and_nothing_remains(tmp_path, fault, message):
    archive = voc_tar(tmp_path, **fault)
    with pytest.raises(UserError) as caught:
        convert_voc(archive, tmp_path / "out" / "voc")
    assert message in str(caught.value)
    assert str(archive) in str(caught.value)
    assert list((tmp_path / "out").iterdir() if (tmp_path / "out").exists() else ()) == []


def test_a_failed_conversion_leaves_the_folder_of_an_earlier_one_alone(tmp_path):
    convert_voc(voc_tar(tmp_path), tmp_path / "voc")
    before = contents(tmp_path / "voc")
    with pytest.raises(UserError):
        convert_voc(voc_tar(tmp_path / "bad", leave_out=(MASK,)), tmp_path / "voc", threads=2)
    assert contents(tmp_path / "voc") == before


@pytest.mark.parametrize("shift", [1, 5, 19])
def test_labels_shifted_against_the_annotations_are_refused(tmp_path, shift):
    def shifted(mask):
        is_object = (mask > 0) & (mask < 255)
        return png_bytes(np.where(is_object, (mask.astype(int) - 1 + shift) % 20 + 1, mask).astype(np.uint8))

    archive = voc_tar(
        tmp_path, replace={f"SegmentationClass/{key}.png": shifted(mask) for key, (mask, _) in SCENES.items()}
    )
    with pytest.raises(UserError, match="3 of 3 masks hold a class that their annotation does not name"):
        convert_voc(archive, tmp_path / "voc")


def test_a_few_annotations_may_disagree_and_are_counted(tmp_path, monkeypatch):
    archive = voc_tar(tmp_path, replace={XML: voc_xml(scene(3)[0])})
    monkeypatch.setattr(conversion, "MAX_DISAGREEING_SHARE", 0.34)
    assert convert_voc(archive, tmp_path / "voc")["masks_with_unnamed_class"] == 1
    monkeypatch.setattr(conversion, "MAX_DISAGREEING_SHARE", 0.33)
    with pytest.raises(UserError, match=f"1 of 3 masks .*first: {IDS[1]}"):
        convert_voc(archive, tmp_path / "voc")


def test_an_annotation_may_name_more_than_the_mask_shows(tmp_path):
    archive = voc_tar(tmp_path, replace={XML: voc_xml(scene(20, 3, 4)[0])})
    assert convert_voc(archive, tmp_path / "voc")["masks_with_unnamed_class"] == 0


def test_instance_masks_of_other_pictures_are_refused(tmp_path):
    swapped = {f"SegmentationObject/{key}.png": png_bytes(np.zeros((24, 32), np.uint8)) for key in IDS}
    with pytest.raises(UserError, match="3 of 3 pictures' SegmentationClass and SegmentationObject do not match"):
        convert_voc(voc_tar(tmp_path, replace=swapped), tmp_path / "voc")


def test_the_verb_converts_and_reports_errors_without_traceback(tmp_path, capsys):
    main(["convert", "voc2012", "--archives", str(voc_tar(tmp_path)), "--out", str(tmp_path / "voc")])
    assert "3 pictures (train 2, val 1, trainval 3)" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"segrepro convert: .*gone\.tar: no such archive"):
        main(["convert", "voc2012", "--archives", str(tmp_path / "gone.tar"), "--out", str(tmp_path / "voc")])
    with pytest.raises(SystemExit, match="--threads is 0; give a whole number from 1"):
        main(
            [
                "convert",
                "voc2012",
                "--archives",
                str(voc_tar(tmp_path)),
                "--out",
                str(tmp_path / "voc"),
                "--threads",
                "0",
            ]
        )


@pytest.mark.real
def test_the_real_subset_converts_with_its_counts(tmp_path):
    folder = Path(os.environ.get("SEGREPRO_REAL_SUBSET", "/nonexistent"))
    if not folder.is_dir():
        pytest.skip("set SEGREPRO_REAL_SUBSET to the folder of the real subset")
    summary = convert_voc(folder / "VOCtrainval_11-May-2012.tar", tmp_path / "voc", threads=2)
    assert [summary["lists"][name]["pictures"] for name in LISTS] == [437, 222, 659]
    assert summary["masks_with_unnamed_class"] <= 3
    assert summary["instances_unlike_mask"] == 0
