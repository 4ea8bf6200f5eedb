"""DeconvNet's training examples: one object a row (stage 1), one proposal a row (stage 2), classes balanced."""

import csv
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from builders import picture, scene
from segrepro.cli import main
from segrepro.config.models import ObjectExamples, ProposalExamples
from segrepro.data.boxes import overlaps, tight_boxes
from segrepro.data.training_sets import (
    LeftOut,
    PictureObject,
    balanced_repeats,
    fitting_proposals,
    left_out_sentence,
    object_examples,
    picture_objects,
    proposal_examples,
)
from segrepro.errors import UserError
from segrepro.labels import VOC_CLASSES
from segrepro.stores.manifests import Example, read_manifest, write_manifest

# Objects of 8 to 14 columns by 14 rows each, in a picture of 32 x 24.
SCENES = {"a": (15, 15), "b": (15, 9, 2), "c": (15, 255), "d": (12,)}


def write_picture(folder, id, mask, instances):
    for kind, array in (("masks", mask), ("instances", instances)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{id}.png")
    (folder / "images").mkdir(exist_ok=True)
    Image.fromarray(picture()).save(folder / "images" / f"{id}.jpg")
    return Example(id, folder / "images" / f"{id}.jpg", folder / "masks" / f"{id}.png")


@pytest.fixture
def dataset(tmp_path):
    """Four pictures, `m.csv`; the second object of c has void for a class."""
    examples = [write_picture(tmp_path / "voc", id, *scene(*labels)) for id, labels in SCENES.items()]
    write_manifest(tmp_path / "m.csv", examples)
    return tmp_path


def stage1(dataset, *options):
    files = ["--manifest", str(dataset / "m.csv"), "--out", str(dataset / "x.csv")]
    main(["training-set", "objects", *files, "--counts", str(dataset / "counts.csv"), *options])
    return read_manifest(dataset / "x.csv")


def counts(dataset):
    with (dataset / "counts.csv").open(newline="") as stream:
        return {row.pop("class"): row for row in csv.DictReader(stream)}


def test_every_object_is_a_row_with_its_enlarged_box_and_instance(dataset):
    rows = stage1(dataset)
    assert [(row.id, row.instance) for row in rows] == [*zip("aabbbcd", (1, 2, 1, 2, 3, 1, 1), strict=True)]
    for row in rows:
        assert row.instance_mask == dataset / "voc" / "instances" / f"{row.id}.png"
        tight = tight_boxes(np.array(Image.open(row.instance_mask)))[row.instance]
        for low in (0, 1):
            side, large = tight[low + 2] - tight[low], row.box[low + 2] - row.box[low]
            assert large == round(1.2 * side)
            assert 0 <= tight[low] + tight[low + 2] - row.box[low] - row.box[low + 2] <= 1


def test_boxes_may_leave_the_picture(dataset):
    large = stage1(dataset, "--enlarge", "3")
    assert large[-1].id == "d"
    assert large[-1].box == (-26, -9, 58, 33)


def test_classes_are_balanced_by_repetition_and_counted(dataset, capsys):
    rows = stage1(dataset)
    assert [row.repeats for row in rows] == [1, 1, 1, 4, 4, 1, 4]
    table = counts(dataset)
    assert list(table) == [*VOC_CLASSES[1:], "total"]
    assert table["person"] == {"objects": "4", "repeats": "1", "examples": "4"}
    assert table["chair"] == {"objects": "1", "repeats": "4", "examples": "4"}
    assert table["aeroplane"] == {"objects": "0", "repeats": "", "examples": "0"}
    assert table["total"] == {"objects": "7", "repeats": "", "examples": "16"}
    assert sum(row.repeats for row in rows) == 16
    assert capsys.readouterr().out == (
        "1 of 8 objects are left out (1 background or void only); the first is object 2 of picture 'c', "
        "background or void only.\n"
    )


def test_repetition_can_be_limited_or_switched_off(dataset):
    assert {row.repeats for row in stage1(dataset, "--max-repeats", "2")} == {1, 2}
    assert {row.repeats for row in stage1(dataset, "--no-balance")} == {1}
    assert counts(dataset)["total"]["examples"] == "7"


@given(st.lists(st.integers(1, 20), min_size=1, max_size=200), st.none() | st.integers(1, 5))
def test_balanced_classes_come_about_as_often_as_the_largest(labels, limit):
    repeats = balanced_repeats(labels, max_repeats=limit)
    largest = max(labels.count(label) for label in labels)
    assert set(repeats) == set(labels)
    for label, times in repeats.items():
        count = labels.count(label)
        assert 1 <= times <= (limit or largest)
        if limit is None:
            assert abs(times * count - largest) <= count / 2


def test_any_number_of_processes_writes_the_same_bytes(dataset):
    stage1(dataset)
    written = (dataset / "x.csv").read_bytes()
    stage1(dataset, "--threads", "2")
    assert (dataset / "x.csv").read_bytes() == written


def test_the_class_of_an_object_is_the_most_frequent_label_under_it(tmp_path):
    mask, instances = np.zeros((2, 20, 20), np.uint8)
    instances[:10] = 1
    mask[0:2], mask[2:6], mask[6:9] = 255, 3, 7
    objects = picture_objects(write_picture(tmp_path, "p", mask, instances)).objects
    assert objects == [PictureObject(1, 3, (0, 0, 20, 10))]


def test_absent_unlabelled_and_small_objects_are_left_out(tmp_path):
    mask, instances = np.zeros((2, 20, 40), np.uint8)
    instances[:10, :10], mask[:10, :10] = 5, 1
    instances[:10, 20:30] = 2  # on background
    instances[15, :10], mask[15, :10] = 4, 1  # 10 pixels
    found = picture_objects(write_picture(tmp_path, "p", mask, instances), min_area=11)
    assert [item.number for item in found.objects] == [5]
    reasons = ["without a pixel", "background or void only", "without a pixel", "too small"]
    assert found.left_out == [LeftOut("p", number, reason) for number, reason in enumerate(reasons, 1)]
    assert left_out_sentence(found.left_out, 1) == (
        "4 of 5 objects are left out (2 without a pixel, 1 background or void only, 1 too small); "
        "the first is object 1 of picture 'p', without a pixel."
    )


def test_a_dataset_without_instance_masks_is_refused(dataset, capsys):
    (dataset / "voc" / "instances").rename(dataset / "voc" / "elsewhere")
    with pytest.raises(SystemExit, match=r"^segrepro training-set: .*instances/a\.png: picture 'a' has no instance"):
        stage1(dataset)
    assert not (dataset / "x.csv").exists()


def test_an_instance_mask_of_another_size_is_refused(dataset):
    Image.new("L", (3, 4)).save(dataset / "voc" / "instances" / "b.png")
    with pytest.raises(SystemExit, match=r"instances/b\.png: the mask is 3 x 4 pixels and its picture 32 x 24"):
        stage1(dataset)


def test_labels_of_another_space_are_refused(dataset):
    Image.fromarray(np.full((24, 32), 44, np.uint8)).save(dataset / "voc" / "masks" / "b.png")
    with pytest.raises(SystemExit, match=r"masks/b\.png: label 44 occurs"):
        stage1(dataset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": (0, 0, 3, 3)}, "picture 'a' comes with a box; give a manifest of whole pictures"),
        ({"repeats": 3}, "picture 'a' is repeated 3 times; give a manifest of whole pictures"),
        ({"mask": None}, "picture 'a' has no mask"),
    ],
)
def test_only_whole_pictures_with_masks_are_taken(dataset, change, message):
    examples = [replace(read_manifest(dataset / "m.csv")[0], **change)]
    with pytest.raises(UserError, match=message):
        object_examples(examples, ObjectExamples(kind="objects"))
    with pytest.raises(UserError, match=message):
        proposal_examples(examples, FakeProposals({"a": []}), ProposalExamples(kind="proposals", proposals="p"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--enlarge", "0"], "--enlarge is 0.0"),
        (["--enlarge", "nan"], "--enlarge is nan"),
        (["--min-area", "0"], "--min-area is 0"),
        (["--max-repeats", "0"], "--max-repeats is 0"),
        (["--min-area", "999"], "none of the 4 pictures has an object of 999 pixels or more"),
    ],
)
def test_impossible_options_are_refused(dataset, options, message):
    with pytest.raises(SystemExit, match=f"training-set: {message}"):
        stage1(dataset, *options)
    assert not (dataset / "x.csv").exists()


class FakeProposals:
    """Stands for a proposals file."""

    def __init__(self, boxes):
        self._boxes = boxes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def boxes(self, picture):
        if picture not in self._boxes:
            raise UserError(f"p.h5: no proposals of picture '{picture}'.")
        return np.array(self._boxes[picture], np.int32).reshape(-1, 4)


# The objects of a: (2, 5, 14, 19) and (18, 5, 30, 19); of b, a chair at (12, 5, 18, 19) and a person at (2, 5, 8, 19).
PROPOSALS = {
    "a": [[0, 0, 32, 24], [18, 5, 30, 18], [2, 5, 14, 15], [3, 5, 14, 19]],
    "b": [[11, 5, 19, 19], [1, 5, 8, 19]],
    "c": [[0, 0, 2, 2]],
    "d": [],
}


@pytest.fixture
def stage2(dataset, monkeypatch):
    def write(*options, boxes=PROPOSALS):
        module = types.ModuleType("segrepro.stores.proposals")
        module.ProposalReader = lambda _: FakeProposals(boxes)
        monkeypatch.setitem(sys.modules, "segrepro.stores.proposals", module)
        files = ["--manifest", str(dataset / "m.csv"), "--out", str(dataset / "x.csv"), "--proposals", "p.h5"]
        main(["training-set", "proposals", *files, "--counts", str(dataset / "counts.csv"), *options])
        return read_manifest(dataset / "x.csv")

    return write


def test_proposals_that_overlap_an_object_are_rows_without_an_instance(stage2, dataset, capsys):
    rows = stage2("--enlarge", "1")
    assert [list(row.box) for row in rows if row.id == "a"] == sorted(PROPOSALS["a"][1:])
    assert {row.id for row in rows} == {"a", "b"}
    assert all(row.instance is None and row.instance_mask is None for row in rows)
    assert counts(dataset)["person"] == {"proposals": "4", "repeats": "1", "examples": "4"}
    assert counts(dataset)["chair"] == {"proposals": "1", "repeats": "4", "examples": "4"}
    assert capsys.readouterr().out == (
        "2 of 4 pictures have no proposal that overlaps an object by 0.5 or more; the first is 'c'.\n"
    )


def test_overlap_is_measured_before_the_box_is_enlarged(stage2):
    rows = stage2("--enlarge", "2", "--min-overlap", "0.9")
    assert [(row.id, row.box) for row in rows] == [("a", (-3, -2, 19, 26)), ("a", (12, -2, 36, 24))]


def test_the_best_ranked_proposals_of_a_picture_are_kept(stage2):
    rows = stage2("--enlarge", "1", "--max-per-picture", "1")
    assert [list(row.box) for row in rows] == [PROPOSALS["a"][1], PROPOSALS["b"][0]]


def test_ground_truth_boxes_join_only_when_asked_for(stage2, dataset):
    rows = stage2("--enlarge", "1", "--add-ground-truth")
    assert {row.id for row in rows} == {"a", "b", "c", "d"}
    assert (2, 5, 14, 19) in {row.box for row in rows}
    assert counts(dataset)["total"]["proposals"] == str(5 + 7)


def test_boxes_that_become_one_are_one_example(stage2):
    rows = stage2("--enlarge", "1", "--add-ground-truth", boxes=PROPOSALS | {"a": [[2, 5, 14, 19], [2, 5, 14, 19]]})
    assert [row.box for row in rows if row.id == "a"] == [(2, 5, 14, 19), (18, 5, 30, 19)]


@pytest.mark.parametrize(
    ("options", "boxes", "message"),
    [
        ([], {"a": []}, "p.h5: no proposals of picture 'b'"),
        ([], {id: [] for id in "abcd"}, "none of the 4 pictures has a proposal that overlaps an object by 0.5"),
        (["--min-overlap", "0"], PROPOSALS, "--min-overlap is 0.0"),
        (["--min-overlap", "1.1"], PROPOSALS, "--min-overlap is 1.1"),
        (["--max-per-picture", "0"], PROPOSALS, "--max-per-picture is 0"),
    ],
)
def test_stage_2_is_refused_in_one_sentence(stage2, dataset, options, boxes, message):
    with pytest.raises(SystemExit, match=f"^segrepro training-set: {message}"):
        stage2(*options, boxes=boxes)
    assert not (dataset / "x.csv").exists()


some_boxes = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=8,
)


@given(some_boxes, some_boxes, st.floats(0.05, 1), st.none() | st.integers(1, 4))
def test_fitting_proposals_keep_rank_and_take_the_class_overlapped_most(proposals, boxes, enough, limit):
    objects = [PictureObject(number, number + 1, box) for number, box in enumerate(boxes)]
    rules = ProposalExamples(kind="proposals", proposals="p", min_overlap=enough, max_per_picture=limit)
    found, labels = fitting_proposals(np.array(proposals).reshape(-1, 4), objects, rules)
    expected = []
    for proposal in proposals:
        shares = [overlaps(np.array([proposal]), np.array([box])).item() for box in boxes]
        if shares and max(shares) >= enough:
            expected.append((list(proposal), shares.index(max(shares)) + 1))
    assert [*zip(found.tolist(), labels, strict=True)] == expected[:limit]
