"""The sample: official layouts, consistent annotations, determinism, and pictures that need more than colour."""

import hashlib
import io
import json
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.io import loadmat

from segrepro.cli import main
from segrepro.config.data import SampleData
from segrepro.data.sample.annotations import (
    CATEGORY_IDS,
    coarse_instances,
    palette_png_bytes,
    run_lengths,
    supercategory,
    void_ring,
)
from segrepro.data.sample.archives import ARCHIVES, draw_sample, sbd_lists, write_archives
from segrepro.data.sample.plan import COCO_CYCLE, COCO_EXTRAS_ONLY, COCO_MIXED, SOURCES, draw_plans, plan_source
from segrepro.data.sample.scenes import CONTEXTS, SIZES, draw_scene
from segrepro.data.sample.shapes import EXTRA_SHAPES, SHAPES, VOC_SHAPES
from segrepro.data.sample.textures import LOOKS
from segrepro.labels import COCO_CATEGORIES, VOC_CLASSES, voc_palette

COUNTS = {"voc_train": 8, "voc_val": 6, "voc_test": 2, "sbd_extra": 8, "coco_train": 8, "coco_val": 4}
SMALL = SampleData(seed=7, **COUNTS)
VOC = "VOCdevkit/VOC2012"
DATASET = "benchmark_RELEASE/dataset"


@pytest.fixture(scope="module")
def drawn():
    return draw_sample(SMALL, threads=1)


@pytest.fixture(scope="module")
def folder(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_archives(folder, drawn)
    return folder


def members(path):
    """Name -> bytes of an archive's files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers()}


def ids(text):
    return text.decode().split()


def picture(data):
    return np.array(Image.open(io.BytesIO(data)))


@pytest.fixture(scope="module")
def voc(folder):
    return members(folder / "VOCtrainval_11-May-2012.tar")


@pytest.fixture(scope="module")
def sbd(folder):
    return members(folder / "benchmark.tgz")


# The archives as a whole


def test_sums_list_every_archive_with_its_sha256(folder):
    lines = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(lines) == set(ARCHIVES)
    for name, digest in lines.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_same_seed_gives_the_same_bytes_with_another_number_of_processes(folder, tmp_path):
    write_archives(tmp_path, draw_sample(SMALL, threads=2))
    assert (tmp_path / "SHA256SUMS").read_text() == (folder / "SHA256SUMS").read_text()


def test_another_seed_gives_other_pictures_with_other_ids(drawn):
    other = draw_sample(SampleData(seed=8, **dict.fromkeys(COUNTS, 1)), threads=1)
    assert list(other["voc_train"]) != list(drawn["voc_train"])[:1]
    first, second = (next(iter(d["coco_val"].values())).image for d in (drawn, other))
    assert first.shape != second.shape or (first != second).any()


def test_a_picture_does_not_depend_on_how_many_others_are_drawn_with_it():
    plans = plan_source("voc_val", 3, seed=1)
    alone = draw_plans(plans[2:], 1, threads=1)[0]
    together = draw_plans(plans, 1, threads=1)[2]
    np.testing.assert_array_equal(alone.image, together.image)


def test_archives_hold_no_time_of_day_and_no_owner(folder):
    with tarfile.open(folder / "benchmark.tgz") as archive:
        found = archive.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in found} == {(1_336_694_400, 0, 0, "")}
    assert [m.name for m in found] == sorted(m.name for m in found)
    assert (folder / "benchmark.tgz").read_bytes()[4:8] == b"\0\0\0\0"
    with zipfile.ZipFile(folder / "train2017.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(2017, 9, 1, 0, 0, 0)}


# VOC


def test_voc_lists_match_the_pictures_and_masks(voc):
    train, val, trainval = (ids(voc[f"{VOC}/ImageSets/Segmentation/{s}.txt"]) for s in ("train", "val", "trainval"))
    assert (len(train), len(val)) == (8, 6)
    assert not set(train) & set(val)
    assert trainval == sorted(train + val)
    for folder_name in ("SegmentationClass", "SegmentationObject"):
        masks = {n.split("/")[-1][:-4] for n in voc if f"/{folder_name}/" in n}
        assert masks == set(trainval)
    pictures = {n.split("/")[-1][:-4] for n in voc if "/JPEGImages/" in n}
    assert len(pictures) == 8 + 6 + 8
    assert set(trainval) < pictures


def test_voc_masks_are_palette_pngs_in_voc_colours_with_thin_void_borders(voc):
    for name in (n for n in voc if n.startswith(f"{VOC}/SegmentationClass/")):
        mask = Image.open(io.BytesIO(voc[name]))
        assert mask.mode == "P"
        assert mask.getpalette() == voc_palette().ravel().tolist()
        labels = np.array(mask)
        assert set(np.unique(labels)) <= {*range(21), 255}
        assert 0.005 < (labels == 255).mean() < 0.25
        photograph = voc[name.replace("SegmentationClass", "JPEGImages")[:-3] + "jpg"]
        assert picture(photograph).shape == (*labels.shape, 3)


def test_voc_object_masks_xml_and_class_masks_tell_the_same_story(voc):
    for name in (n for n in voc if n.startswith(f"{VOC}/SegmentationObject/")):
        picture_id = name.split("/")[-1][:-4]
        objects, classes = picture(voc[name]), picture(voc[f"{VOC}/SegmentationClass/{picture_id}.png"])
        annotation = ElementTree.fromstring(voc[f"{VOC}/Annotations/{picture_id}.xml"])
        assert annotation.findtext("filename") == f"{picture_id}.jpg"
        assert annotation.findtext("segmented") == "1"
        height, width = objects.shape
        assert (annotation.findtext("size/width"), annotation.findtext("size/height")) == (str(width), str(height))
        np.testing.assert_array_equal(objects == 255, classes == 255)
        np.testing.assert_array_equal(objects == 0, classes == 0)
        for number, node in enumerate(annotation.findall("object"), start=1):
            assert set(np.unique(classes[objects == number])) == {VOC_CLASSES.index(node.findtext("name"))}
            y, x = np.nonzero(objects == number)
            x0, y0, x1, y1 = (int(node.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax"))
            assert 1 <= x0 <= x.min() + 1
            assert 1 <= y0 <= y.min() + 1
            assert x.max() + 1 <= x1 <= width
            assert y.max() + 1 <= y1 <= height


def test_pictures_of_sbd_alone_have_no_voc_mask_and_say_so(voc, drawn):
    for picture_id in drawn["sbd_extra"]:
        assert f"{VOC}/SegmentationClass/{picture_id}.png" not in voc
        annotation = ElementTree.fromstring(voc[f"{VOC}/Annotations/{picture_id}.xml"])
        assert annotation.findtext("segmented") == "0"


def test_voc_test_has_pictures_and_a_list_but_no_masks(folder):
    found = members(folder / "VOC2012test.tar")
    listed = ids(found[f"{VOC}/ImageSets/Segmentation/test.txt"])
    assert sorted(found) == sorted(
        [f"{VOC}/JPEGImages/{i}.jpg" for i in listed] + [f"{VOC}/ImageSets/Segmentation/test.txt"]
    )


# SBD


def test_sbd_lists_overlap_voc_as_the_real_ones_do(sbd, voc):
    train, val = (ids(sbd[f"{DATASET}/{s}.txt"]) for s in ("train", "val"))
    voc_train, voc_val = (set(ids(voc[f"{VOC}/ImageSets/Segmentation/{s}.txt"])) for s in ("train", "val"))
    assert not set(train) & set(val)
    assert voc_train & set(train)
    assert voc_val & set(train)
    assert voc_val & set(val)
    assert voc_val - set(train)  # seg11valid is not empty
    assert voc_val - set(train) - set(val)
    for kind, suffix in (("cls", "mat"), ("inst", "mat"), ("img", "jpg")):
        assert {n for n in sbd if f"/{kind}/" in n} == {f"{DATASET}/{kind}/{i}.{suffix}" for i in train + val}


def test_trainaug_of_the_default_sample_counts_as_voc_train_and_the_extra_pictures():
    drawn = {source: dict.fromkeys(f"{source}{i}" for i in range(n)) for source, n in SampleData().counts.items()}
    train, val = sbd_lists(drawn)
    trainaug = (set(drawn["voc_train"]) | set(train) | set(val)) - set(drawn["voc_val"])
    assert len(trainaug) == 80 + 160
    assert 20 < len(set(drawn["voc_val"]) - set(train)) < 60


def test_sbd_structures_read_as_the_release(sbd):
    for name in (n for n in sbd if "/cls/" in n):
        cls = loadmat(io.BytesIO(sbd[name]))["GTcls"]
        inst = loadmat(io.BytesIO(sbd[name.replace("/cls/", "/inst/")]))["GTinst"]
        assert cls.shape == inst.shape == (1, 1)
        assert cls.dtype.names == ("Segmentation", "Boundaries", "CategoriesPresent")
        assert inst.dtype.names == ("Segmentation", "Boundaries", "Categories")
        classes, objects = cls["Segmentation"][0, 0], inst["Segmentation"][0, 0]
        categories = inst["Categories"][0, 0]
        assert classes.dtype == objects.dtype == np.uint8
        assert cls["Boundaries"][0, 0].shape == (20, 1)
        assert inst["Boundaries"][0, 0].shape == categories.shape == (len(categories), 1)
        table = np.concatenate([[0], categories[:, 0]])
        np.testing.assert_array_equal(table[objects], classes)
        assert cls["CategoriesPresent"][0, 0][:, 0].tolist() == sorted(set(np.unique(classes)) - {0})
        assert cls["Boundaries"][0, 0][classes.max() - 1, 0].shape == classes.shape
        assert cls["Boundaries"][0, 0][classes.max() - 1, 0].sum() > 0
        assert classes.max() <= 20  # no void


def test_sbd_masks_agree_with_voc_but_for_the_outlines(sbd, voc):
    shares = []
    for name in (n for n in sbd if "/cls/" in n):
        mask_name = f"{VOC}/SegmentationClass/{name.split('/')[-1][:-4]}.png"
        if mask_name in voc:
            sbd_labels = loadmat(io.BytesIO(sbd[name]))["GTcls"]["Segmentation"][0, 0]
            voc_labels = picture(voc[mask_name])
            valid = voc_labels < 255
            shares.append((sbd_labels[valid] == voc_labels[valid]).mean())
            assert (sbd_labels[~valid] > 0).any()
    assert min(shares) > 0.95
    assert min(shares) < 1


# COCO


@pytest.fixture(scope="module")
def coco(folder, tmp_path_factory):
    found = members(folder / "annotations_trainval2017.zip")
    assert set(found) == {"annotations/instances_train2017.json", "annotations/instances_val2017.json"}
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    path.write_bytes(found["annotations/instances_train2017.json"])
    return COCO(str(path))


def test_coco_json_is_complete_and_its_pictures_are_in_the_zip(coco, folder):
    pictures = members(folder / "train2017.zip")
    assert set(coco.dataset) == {"info", "licenses", "images", "annotations", "categories"}
    assert set(pictures) == {f"train2017/{image['file_name']}" for image in coco.dataset["images"]}
    for image in coco.dataset["images"]:
        assert image["file_name"] == f"{image['id']:012d}.jpg"
        assert picture(pictures[f"train2017/{image['file_name']}"]).shape == (image["height"], image["width"], 3)
    assert {c["id"]: c["name"] for c in coco.dataset["categories"]} == COCO_CATEGORIES


def test_coco_annotations_decode_to_the_drawn_objects(coco, drawn):
    for image_id, scene in ((int(i), s) for i, s in drawn["coco_train"].items()):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
        assert len(annotations) == len(scene.names)
        for number, annotation in enumerate(annotations, start=1):
            drawn_mask, decoded = scene.instances == number, coco.annToMask(annotation).astype(bool)
            assert annotation["category_id"] == CATEGORY_IDS[scene.names[number - 1]]
            if annotation["iscrowd"]:
                np.testing.assert_array_equal(decoded, drawn_mask)
                assert annotation["area"] == drawn_mask.sum()
            else:
                assert decoded[drawn_mask].mean() > 0.9
            x, y, w, h = annotation["bbox"]
            rows, columns = np.nonzero(drawn_mask)
            assert x - 1 <= columns.min() <= columns.max() <= x + w + 1
            assert y - 1 <= rows.min() <= rows.max() <= y + h + 1


def test_coco_has_every_special_case_even_in_eight_pictures(coco):
    annotations = coco.dataset["annotations"]
    assert len({a["id"] for a in annotations}) == len(annotations)
    assert any(a["iscrowd"] and isinstance(a["segmentation"]["counts"], list) for a in annotations)
    assert any(not a["iscrowd"] and len(a["segmentation"]) > 1 for a in annotations)  # several parts
    by_picture = {i: coco.loadAnns(coco.getAnnIds(imgIds=i)) for i in coco.getImgIds()}
    assert [] in by_picture.values()
    extras = {CATEGORY_IDS[name] for name in EXTRA_SHAPES}
    assert any(found and {a["category_id"] for a in found} <= extras for found in by_picture.values())
    masks = [[coco.annToMask(a) for a in found if not a["iscrowd"]] for found in by_picture.values()]
    assert any(len(found) > 1 and (np.sum(found, 0) > 1).any() for found in masks)  # overlapping objects


def test_supercategories_are_the_official_ones():
    expected = {1: "person", 9: "vehicle", 15: "outdoor", 25: "animal", 33: "accessory", 43: "sports"}
    expected |= {51: "kitchen", 61: "food", 70: "furniture", 77: "electronic", 82: "appliance", 90: "indoor"}
    assert {i: supercategory(i) for i in expected} == expected


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_run_lengths_decode_to_the_mask(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    counts = run_lengths(mask)
    assert sum(counts) == height * width
    rle = coco_mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    np.testing.assert_array_equal(coco_mask.decode(rle), mask)


# Scenes


def test_every_class_has_a_silhouette_a_look_and_a_context():
    assert tuple(VOC_SHAPES) == VOC_CLASSES[1:]
    assert set(EXTRA_SHAPES) <= set(COCO_CATEGORIES.values())
    assert set(LOOKS) == set(CONTEXTS) == set(SHAPES)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_single_object_is_large_and_whole_in_its_picture(name):
    for seed in range(3):
        scene = draw_scene((name,), np.random.default_rng(seed))
        assert scene.image.dtype == np.uint8
        assert scene.image.shape == (*scene.instances.shape, 3)
        assert scene.image.shape[1::-1] in SIZES
        assert scene.names == (name,)
        assert 0.1 < (scene.instances == 1).mean() < 0.6


def test_silhouettes_of_two_classes_differ():
    masks = {}
    for name in VOC_SHAPES:
        scene = draw_scene((name,), np.random.default_rng(3))
        x, y, w, h = cv2.boundingRect(scene.instances)
        masks[name] = cv2.resize(scene.instances[y : y + h, x : x + w], (32, 32), interpolation=cv2.INTER_NEAREST) > 0
    for a in masks:
        for b in masks:
            if a < b:
                overlap = (masks[a] & masks[b]).sum() / (masks[a] | masks[b]).sum()
                assert overlap < 0.93, f"{a} and {b} have nearly the same silhouette"


def test_a_picture_without_objects_is_all_background():
    scene = draw_scene((), np.random.default_rng(0))
    assert scene.names == ()
    assert not scene.instances.any()


def test_a_crowd_is_one_instance_of_many_parts():
    scene = draw_scene((), np.random.default_rng(1), crowd="sheep")
    assert scene.names == ("sheep",)
    assert scene.crowds == (True,)
    assert (scene.instances == 1).sum() > 500


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_instances_are_numbered_without_gaps_and_all_visible(seed):
    scene = draw_scene(("person", "car", "bicycle", "bus"), np.random.default_rng(seed), pole=True)
    assert set(np.unique(scene.instances)) == set(range(len(scene.names) + 1))
    assert len(scene.names) == len(scene.crowds)


def test_void_ring_is_two_pixels_wide_and_around_every_change():
    instances = np.zeros((20, 20), np.uint8)
    instances[5:15, 5:10], instances[5:15, 10:15] = 1, 2
    ring = void_ring(instances)
    assert ring[10].nonzero()[0].tolist() == [4, 5, 9, 10, 14, 15]
    assert not ring[0].any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_coarse_outlines_keep_every_object(seed):
    rng = np.random.default_rng(seed)
    instances = np.zeros((40, 40), np.uint8)
    for number in range(1, 4):
        x, y = rng.integers(0, 30, 2)
        instances[y : y + rng.integers(1, 12), x : x + rng.integers(1, 12)] = number
    assert set(np.unique(coarse_instances(instances))) == set(np.unique(instances))


def test_palette_png_keeps_the_label_as_the_pixel_value():
    labels = np.array([[0, 1, 20, 255]], np.uint8)
    np.testing.assert_array_equal(picture(palette_png_bytes(labels)), labels)


# Balance and difficulty


@pytest.mark.parametrize(("source", "count"), [("voc_train", 80), ("voc_val", 60), ("sbd_extra", 160)])
def test_every_class_is_in_at_least_eight_percent_of_the_pictures(source, count):
    plans = plan_source(source, count, seed=2012)
    for name in VOC_SHAPES:
        assert sum(name in plan.names for plan in plans) >= 0.08 * count


def test_planned_objects_share_a_context():
    plans = [plan for source in SOURCES for plan in plan_source(source, 40, seed=3)]
    for plan in plans:
        with_extras = plan.source.startswith("coco") and plan.index % COCO_CYCLE in (COCO_EXTRAS_ONLY, COCO_MIXED)
        if plan.names and not with_extras:
            assert set.intersection(*(set(CONTEXTS[name]) for name in plan.names))


def test_colour_alone_does_not_decide_the_class():
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)

    def pixels(source, count, take):
        scenes = draw_plans(plan_source(source, count, seed=2012), 2012, threads=1)
        colours = np.concatenate([scene.image.reshape(-1, 3) for scene in scenes])
        labels = np.concatenate([labels_of(scene).ravel() for scene in scenes])
        chosen = rng.choice(len(labels), take, replace=False)
        return colours[chosen].astype(float), labels[chosen]

    def labels_of(scene):
        return np.array([0, *(VOC_CLASSES.index(name) for name in scene.names)])[scene.instances]

    train, val = pixels("sbd_extra", 60, 20_000), pixels("voc_val", 30, 8_000)
    predicted = KNeighborsClassifier(9, algorithm="kd_tree").fit(*train).predict(val[0])
    confusion = np.zeros((21, 21))
    np.add.at(confusion, (val[1], predicted), 1)
    hits = np.diag(confusion)
    iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    assert 0.55 < (val[1] == 0).mean() < 0.78
    assert iou.mean() < 0.3


# The verb


def test_verb_writes_archives_and_contact_sheet(tmp_path, capsys):
    counts = [f"--{name}={n}" for name, n in (("voc-train", 3), ("voc-val", 2), ("voc-test", 1), ("sbd-extra", 2))]
    counts += ["--coco-train=2", "--coco-val=1"]
    main(["sample", "--out", str(tmp_path / "a"), *counts, "--preview", str(tmp_path / "sheet.png")])
    assert {p.name for p in (tmp_path / "a").iterdir()} == {*ARCHIVES, "SHA256SUMS"}
    assert Image.open(tmp_path / "sheet.png").size[0] > 600
    assert "11 pictures" in capsys.readouterr().out


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(SystemExit, match="is a file: give --out a folder"):
        main(["sample", "--out", str(tmp_path / "a")])
    assert (tmp_path / "a").read_text() == "mine"


def test_archives_that_may_be_the_official_ones_are_never_replaced(tmp_path):
    official = tmp_path / "VOCtrainval_11-May-2012.tar"
    official.write_text("two gigabytes")
    with pytest.raises(SystemExit, match=r"VOCtrainval_11-May-2012\.tar: is there already and would be replaced"):
        main(["sample", "--out", str(tmp_path)])
    assert official.read_text() == "two gigabytes"


def test_coco_json_is_plain_json_without_numpy(folder):
    found = members(folder / "annotations_trainval2017.zip")
    for data in found.values():
        assert json.loads(data)["info"]["year"] == 2017
