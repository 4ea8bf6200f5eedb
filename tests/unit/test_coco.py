import csv
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO

from builders import (
    coco_annotation,
    coco_json,
    jpeg_bytes,
    picture,
    rectangle,
    run_lengths,
    write_coco_zips,
)
from segrepro.cli import main
from segrepro.data.coco import convert_coco, draw_masks
from segrepro.data.coco_annotations import Picture, parse_annotations
from segrepro.data.pictures import PICTURE_MODES
from segrepro.errors import UserError
from segrepro.labels import COCO91, COCO_CATEGORIES, COCO_IDS_IN_VOC_ORDER, VOC_CLASSES

PERSON, CAR, DOG, PIZZA, CLOCK = 1, 3, 18, 59, 85
VOC_PERSON, VOC_CAR, VOC_DOG = 15, 7, 12
HEIGHT, WIDTH = 24, 32


def draw(*annotations: dict) -> tuple[np.ndarray, np.ndarray]:
    """COCO-90 and COCO-20 masks of one 32 x 24 picture."""
    content = json.dumps(coco_json({7: picture()}, list(annotations))).encode()
    known = parse_annotations(content, source="a.json")
    return draw_masks(known.regions.get(7, []), known.pictures[0], source="a.json")


def box(number: int, category: int, *corners: int, crowd: bool = False) -> dict:
    if not crowd:
        return coco_annotation(number, 7, category, [rectangle(*corners)])
    left, top, right, bottom = corners
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered[top:bottom, left:right] = True
    return coco_annotation(number, 7, category, run_lengths(covered), crowd=1)


def reference_masks(coco: COCO, picture_id: int) -> list[np.ndarray]:
    """The rules as counts over pycocotools' own drawing of each annotation: COCO-90, COCO-20."""
    size = coco.imgs[picture_id]
    objects, crowds = np.zeros((2, 91, size["height"], size["width"]), bool)
    for annotation in coco.imgToAnns[picture_id]:
        claimed = crowds if annotation["iscrowd"] else objects
        claimed[annotation["category_id"]] |= coco.annToMask(annotation).astype(bool)
    masks = []
    for categories in (range(91), COCO_IDS_IN_VOC_ORDER):
        claims, crowd = objects[list(categories)], crowds[list(categories)].any(0)
        masks.append(np.where(crowd | (claims.sum(0) > 1), 255, claims.argmax(0)))
    return masks


def loaded(content: dict) -> COCO:
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@st.composite
def annotated_pictures(draw_value):
    annotations = []
    for number in range(1, draw_value(st.integers(0, 6)) + 1):
        category = draw_value(st.sampled_from([PERSON, CAR, DOG, PIZZA, CLOCK]))
        corner = st.integers(-2, 34).map(lambda value: value / 1.7)
        polygons = st.lists(st.lists(corner, min_size=6, max_size=12), min_size=1, max_size=2)
        crowd = draw_value(st.integers(0, 4)) == 0
        if crowd:
            shape = run_lengths(draw_value(arrays(bool, (HEIGHT, WIDTH))))
        else:
            shape = [polygon[: len(polygon) // 2 * 2] for polygon in draw_value(polygons)]
        annotations.append(coco_annotation(number, 7, category, shape, int(crowd)))
    return annotations


@settings(max_examples=40, deadline=None)
@given(annotated_pictures())
def test_masks_equal_the_rules_counted_over_pycocotools_own_drawing(annotations):
    references = reference_masks(loaded(coco_json({7: picture()}, annotations)), 7)
    for mine, reference in zip(draw(*annotations), references, strict=True):
        assert mine.dtype == np.uint8
        np.testing.assert_array_equal(mine, reference)


def test_labels_are_category_ids_and_voc_classes():
    coco90, coco20 = draw(box(1, PERSON, 0, 0, 8, 8), box(2, PIZZA, 16, 0, 24, 8))
    assert (coco90[4, 4], coco90[4, 20], coco90[20, 20]) == (PERSON, PIZZA, 0)
    assert (coco20[4, 4], coco20[4, 20], coco20[20, 20]) == (VOC_PERSON, 0, 0)


def test_every_wanted_category_gets_its_voc_label():
    for voc_label, category in enumerate(COCO_IDS_IN_VOC_ORDER[1:], start=1):
        assert draw(box(1, category, 0, 0, 8, 8))[1][4, 4] == voc_label


def test_the_ids_in_vocs_order_bear_vocs_names():
    """The published list of ids against the official names of the categories."""
    synonyms = {"motorcycle": "motorbike", "airplane": "aeroplane", "couch": "sofa", "tv": "tvmonitor"}
    names = [COCO_CATEGORIES[category] for category in COCO_IDS_IN_VOC_ORDER[1:]]
    assert [synonyms.get(name, name.replace(" ", "")) for name in names] == [*VOC_CLASSES[1:]]


def test_overlap_is_void_between_labels_and_no_matter_within_one():
    coco90, coco20 = draw(
        box(1, PERSON, 0, 0, 12, 12),
        box(2, PERSON, 4, 0, 16, 12),
        box(3, CAR, 12, 0, 20, 12),
        box(4, DOG, 12, 0, 20, 6),
    )
    assert coco90[6, 2:20:2].tolist() == [PERSON] * 5 + [255] * 2 + [CAR] * 2
    assert coco90[2, 18] == 255
    assert coco20[6, 2:20:2].tolist() == [VOC_PERSON] * 5 + [255] * 2 + [VOC_CAR] * 2


def test_an_unwanted_object_over_a_wanted_one_voids_coco90_and_leaves_coco20_its_label():
    coco90, coco20 = draw(box(1, CAR, 0, 0, 12, 12), box(2, CLOCK, 6, 0, 18, 12))
    assert coco90[6, [3, 9, 15]].tolist() == [CAR, 255, CLOCK]
    assert coco20[6, [3, 9, 15]].tolist() == [VOC_CAR, VOC_CAR, 0]


def test_crowds_are_void_even_over_objects_but_unwanted_crowds_are_background_in_coco20():
    coco90, coco20 = draw(
        box(1, PERSON, 0, 0, 12, 12), box(2, PERSON, 6, 0, 18, 12, crowd=True), box(3, PIZZA, 20, 0, 30, 9, crowd=True)
    )
    assert coco90[6, [3, 9, 15, 25]].tolist() == [PERSON, 255, 255, 255]
    assert coco20[6, [3, 9, 15, 25]].tolist() == [VOC_PERSON, 255, 255, 0]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=25)))
def test_compressed_and_uncompressed_rles_cover_the_same_pixels(covered):
    compressed = rle_tools.encode(np.asfortranarray(covered.astype(np.uint8)))
    compressed = {"size": compressed["size"], "counts": compressed["counts"].decode()}
    height, width = covered.shape
    for shape in (compressed, run_lengths(covered)):
        content = coco_json({7: np.zeros((height, width, 3))}, [coco_annotation(1, 7, DOG, shape)])
        known = parse_annotations(json.dumps(content).encode(), source="a.json")
        coco90, _ = draw_masks(known.regions[7], Picture(7, "7.jpg", width, height), source="a.json")
        np.testing.assert_array_equal(coco90, covered * DOG)


def test_polygons_with_less_than_three_corners_are_skipped_and_counted(tmp_path):
    shapes = [[1.0, 1.0, 9.0, 9.0], rectangle(0, 0, 8, 8), [1.0, 1.0]]
    annotations = [coco_annotation(1, 7, DOG, shapes), coco_annotation(2, 7, CAR, [[0.0, 0.0, 30.0, 20.0]])]
    summary = convert_coco(
        *write_coco_zips(tmp_path, {7: picture()}, annotations), tmp_path / "out", split="train2017", min_pixels=63
    )
    assert summary["degenerate_polygons_skipped"] == 3
    mask = np.array(Image.open(tmp_path / "out/masks_coco90/000000000007.png"))
    assert np.unique(mask, return_counts=True)[1].tolist() == [HEIGHT * WIDTH - 64, 64]
    assert (tmp_path / "out/lists/coco20.txt").read_text() == "000000000007\n"


PICTURES = {7: picture(7), 3: picture(3, 16, 40), 12: picture(12), 5: picture(5)}
ANNOTATIONS = [
    coco_annotation(1, 7, DOG, [rectangle(0, 0, 10, 10)]),
    coco_annotation(2, 3, PIZZA, [rectangle(0, 0, 16, 16)]),
    coco_annotation(3, 7, PERSON, [rectangle(5, 0, 15, 10)]),
    coco_annotation(4, 12, CAR, [rectangle(0, 0, 10, 11)]),
]


def convert(tmp_path, out="out", threads=1, min_pixels=100, **faults):
    zips = write_coco_zips(tmp_path / "zips", PICTURES, faults.pop("annotations", ANNOTATIONS), **faults)
    return convert_coco(*zips, tmp_path / out, split="train2017", threads=threads, min_pixels=min_pixels)


def test_the_dataset_folder_holds_pictures_masks_lists_and_the_table(tmp_path):
    summary = convert(tmp_path)
    found = contents(tmp_path / "out")
    ids = [f"{key:012}" for key in sorted(PICTURES)]
    expected = {f"images/{key}.jpg" for key in ids} | {f"masks_coco90/{key}.png" for key in ids}
    expected |= {f"masks_coco20/{ids[3]}.png", "lists/coco20.txt", "lists/coco90.txt"}
    assert set(found) == expected | {"pictures.csv", "summary.json"}
    assert found[f"images/{ids[0]}.jpg"] == jpeg_bytes(PICTURES[3])
    assert found["lists/coco90.txt"].decode().split() == ids
    # 7 has 100 dog and person pixels, not more (50 are void), 12 has 110 of a car
    assert found["lists/coco20.txt"].decode().split() == [ids[3]]
    with (tmp_path / "out/pictures.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["id", "width", "height", "coco20_pixels", "coco90_pixels", "annotations", "format"],
        [ids[0], "40", "16", "0", "256", "1", "JPEG"],
        [ids[1], "32", "24", "0", "0", "0", "JPEG"],
        [ids[2], "32", "24", "100", "100", "2", "JPEG"],
        [ids[3], "32", "24", "110", "110", "1", "JPEG"],
    ]
    assert (summary["annotations"], summary["png_pictures"]) == (4, 0)
    assert Image.open(tmp_path / "out/masks_coco20" / f"{ids[3]}.png").mode == "L"


def test_the_number_of_processes_changes_no_byte(tmp_path):
    convert(tmp_path, "one", threads=1)
    convert(tmp_path, "two", threads=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def picture_bytes(mode: str, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (WIDTH, HEIGHT)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("mode", PICTURE_MODES["PNG"])
def test_a_png_named_jpg_is_kept_as_published_and_counted(tmp_path, mode):
    """The official train2017.zip has one: 000000320612.jpg."""
    png = picture_bytes(mode, "PNG")
    assert convert(tmp_path, replace={12: png})["png_pictures"] == 1
    assert json.loads((tmp_path / "out/summary.json").read_text())["png_pictures"] == 1
    assert (tmp_path / "out/images/000000000012.jpg").read_bytes() == png
    with (tmp_path / "out/pictures.csv").open() as stream:
        assert [row["format"] for row in csv.DictReader(stream)] == ["JPEG", "JPEG", "JPEG", "PNG"]


def changed(section: str, number: int = 0, **values) -> dict:
    content = coco_json(PICTURES, [dict(annotation) for annotation in ANNOTATIONS])
    content[section][number] |= values
    return content


def without(section: str, key: str) -> dict:
    content = changed(section)
    del content[section][0][key]
    return content


SHORT_RLE = {"counts": [10, 5], "size": [HEIGHT, WIDTH]}
OTHER_RLE = run_lengths(np.ones((WIDTH, HEIGHT), bool))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a COCO instances file"),
        ({"images": [], "annotations": []}, "key 'categories' is missing"),
        ({"images": [], "annotations": [], "categories": []}, "lists no pictures"),
        (without("images", "width"), "picture 7: key 'width' is missing"),
        (without("images", "file_name"), "picture 7: key 'file_name' is missing"),
        (without("annotations", "image_id"), "annotation 1: key 'image_id' is missing"),
        (without("annotations", "segmentation"), "annotation 1: key 'segmentation' is neither"),
        (without("annotations", "iscrowd"), "annotation 1: key 'iscrowd' is missing"),
        (without("categories", "name"), "a category lacks its 'id' or 'name'"),
        (changed("images", height="24"), "picture 7: key 'height' is '24', not a whole number"),
        (changed("images", height=-3), "picture 7: a size of 32 x -3 is impossible"),
        (changed("images", file_name="../x.jpg"), "picture 7: file_name '../x.jpg' is not the name"),
        (changed("images", id=12), "picture id 12 is listed twice"),
        (changed("images", file_name=f"{12:012}.jpg"), "picture file_name 000000000012.jpg is listed twice"),
        (changed("annotations", image_id=99), "annotation 1: picture 99 is not listed"),
        (changed("annotations", category_id=12), "annotation 1: category_id 12 is none"),
        (changed("annotations", category_id=183), "annotation 1: category_id 183 is none"),
        (changed("annotations", iscrowd=2), "annotation 1: iscrowd is 2"),
        (changed("annotations", segmentation=None), "annotation 1: key 'segmentation' is neither"),
        (changed("annotations", segmentation=[["a"] * 6]), "annotation 1: key 'segmentation' is neither"),
        (changed("annotations", segmentation=[[1.0] * 7]), "odd number of coordinates"),
        (changed("annotations", segmentation=[[1e12] * 6]), "annotation 1 of picture 7: a polygon is far outside"),
        (changed("annotations", segmentation=[[float("nan")] * 6]), "annotation 1 of picture 7: a polygon is far"),
        (changed("annotations", segmentation={"counts": [1]}), "annotation 1: key 'segmentation' is neither"),
        (changed("annotations", segmentation={"counts": [-1], "size": [1, 1]}), "annotation 1: key 'segmentation'"),
        (changed("annotations", segmentation={"counts": "~~", "size": [1, 1]}), "none of a compressed RLE"),
        (changed("annotations", segmentation={"counts": "P", "size": [1, 1]}), "ends within a number"),
        (changed("annotations", segmentation=SHORT_RLE), "annotation 1 of picture 7: the RLE is for (24, 32) with 15"),
        (changed("annotations", segmentation=OTHER_RLE), "annotation 1 of picture 7: the RLE is for (32, 24)"),
        (changed("categories", name="stuff"), "category 1 is called 'stuff', where COCO has 'person'"),
        (changed("images", width=33), "the picture is 32 x 24 pixels, but picture 7 of"),
    ],
)
def test_faulty_annotations_are_refused_by_file_and_id(tmp_path, annotations, message):
    with pytest.raises(UserError) as caught:
        convert(tmp_path, annotations=annotations)
    assert message in str(caught.value)
    assert "annotations_trainval2017.zip" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["zips"]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"leave_out": (7,)}, "picture 7 has no member train2017/000000000007.jpg"),
        ({"replace": {7: jpeg_bytes(picture())[:-300]}}, "000000000007.jpg: the picture cannot be read"),
        ({"replace": {7: picture_bytes("RGB", "GIF")}}, "000000000007.jpg: the picture is a GIF, not a JPEG or PNG"),
        ({"replace": {7: picture_bytes("I;16", "PNG")}}, "000000000007.jpg: the picture is of mode I;16"),
        ({"replace": {7: picture_bytes("RGB", "PNG")[:-30]}}, "000000000007.jpg: the picture cannot be read"),
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_faulty_pictures_are_refused_by_member(tmp_path, faults, message, threads):
    with pytest.raises(UserError) as caught:
        convert(tmp_path, threads=threads, **faults)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["zips"]


def test_pictures_that_the_json_does_not_list_stay_out(tmp_path):
    few = coco_json({7: PICTURES[7]}, ANNOTATIONS[:1])
    assert convert(tmp_path, annotations=few)["pictures"] == 1
    assert [path.name for path in (tmp_path / "out/images").iterdir()] == ["000000000007.jpg"]


def test_the_verb_converts_and_refuses_the_other_splits_archives(tmp_path, capsys):
    pictures, annotations = write_coco_zips(tmp_path, PICTURES, ANNOTATIONS)
    archives = ["--archives", str(pictures), str(annotations)]
    main(["convert", "coco_train", *archives, "--out", str(tmp_path / "out"), "--min-pixels", "50"])
    assert "4 pictures (coco20 2, coco90 4)\n4 annotations" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"has no member 'annotations/instances_val2017\.json'"):
        main(["convert", "coco_val", *archives, "--out", str(tmp_path / "val")])


@pytest.mark.real
@pytest.mark.parametrize(("split", "count"), [("train2017", 80), ("val2017", 79)])
def test_the_real_subset_converts_as_pycocotools_draws_it(tmp_path, split, count):
    folder = Path(os.environ.get("SEGREPRO_REAL_SUBSET", "/nonexistent"))
    if not folder.is_dir():
        pytest.skip("set SEGREPRO_REAL_SUBSET to the folder of the real subset")
    annotations = folder / "annotations_trainval2017.zip"
    summary = convert_coco(
        folder / f"{split}.zip", annotations, tmp_path / "coco", split=split, threads=2, min_pixels=0
    )
    assert summary["pictures"] == count
    coco = loaded(json.loads(zipfile.ZipFile(annotations).read(f"annotations/instances_{split}.json")))
    for entry in coco.imgs.values():
        name = Path(entry["file_name"]).with_suffix(".png")
        for kind, reference in zip(("coco90", "coco20"), reference_masks(coco, entry["id"]), strict=True):
            path = tmp_path / "coco" / f"masks_{kind}" / name
            if path.exists():
                np.testing.assert_array_equal(np.array(Image.open(path)), reference)
            else:
                assert kind == "coco20"
                assert not np.any((reference > 0) & (reference < 255))


# VOC's name of a COCO category, where they differ: written out here, so that the mapping has an independent check.
VOC_NAME = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
    "tv": "tvmonitor",
}


@pytest.mark.real
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_coco90_masks_map_to_voc_as_pycocotools_names_them(tmp_path, split):
    folder = Path(os.environ.get("SEGREPRO_REAL_SUBSET", "/nonexistent"))
    if not folder.is_dir():
        pytest.skip("set SEGREPRO_REAL_SUBSET to the folder of the real subset")
    annotations = folder / "annotations_trainval2017.zip"
    convert_coco(folder / f"{split}.zip", annotations, tmp_path / "coco", split=split, threads=2, min_pixels=0)
    coco = loaded(json.loads(zipfile.ZipFile(annotations).read(f"annotations/instances_{split}.json")))
    checked = set()
    for entry in coco.imgs.values():
        mask = np.array(Image.open(tmp_path / "coco/masks_coco90" / Path(entry["file_name"]).with_suffix(".png")))
        mapped = COCO91.to_voc21[mask]
        assert np.array_equal(mapped == 255, mask == 255)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=entry["id"], iscrowd=False)):
            category = coco.cats[annotation["category_id"]]["name"]
            name = VOC_NAME.get(category, category)
            expected = VOC_CLASSES.index(name) if name in VOC_CLASSES else 0
            inside = (coco.annToMask(annotation) > 0) & (mask != 255)
            assert np.all(mapped[inside] == expected), (entry["file_name"], category)
            if expected:
                checked.add(expected)
    assert len(checked) >= 15
