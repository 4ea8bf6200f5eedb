"""Confusions equal scikit-learn's, and `segrepro evaluate` scores a store picture by picture."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.metrics import confusion_matrix

from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion, confusions_of, load_confusions, save_confusions
from segrepro.files import ids_sha256
from segrepro.labels import COCO91, VOC21, VOID
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreReader, ScoreWriter

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)
TRUTHS = arrays.arrays(np.uint8, SHAPES, elements=st.sampled_from([*range(21), VOID]))


@given(truth=TRUTHS, seed=st.integers(0, 99))
def test_equals_scikit_learn_with_void_left_out(truth, seed):
    prediction = np.random.default_rng(seed).integers(0, 21, truth.shape).astype(np.uint8)
    counted = truth != VOID
    expected = np.zeros((21, 21), int)
    if counted.any():
        expected = confusion_matrix(truth[counted], prediction[counted], labels=range(21))
    counts = confusion(truth, prediction, 21)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)


def test_rows_are_the_truth_and_columns_the_prediction():
    counts = confusion(np.array([[2, 2, 0]]), np.array([[1, 1, 0]]), 3)
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 0, 0], [0, 2, 0]])


def test_what_is_predicted_under_void_is_free():
    assert confusion(np.array([[VOID, 1]]), np.array([[77, 1]]), 2).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([[21]], [[0]], "the mask has label 21, the label space has 0..20"),
        ([[0]], [[21]], "the prediction has label 21"),
        ([[0]], [[255]], "the prediction has label 255"),
        ([[0]], [[-1]], "the prediction has label -1"),
        ([[0, 0]], [[0], [0]], "the mask is 2 x 1 and the prediction 1 x 2"),
    ],
)
def test_labels_out_of_range_and_other_sizes_are_refused(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        confusion(np.array(truth), np.array(prediction), 21)


def test_saved_confusions_come_back_and_have_the_same_bytes(tmp_path):
    confusions = np.random.default_rng(0).integers(0, 99, (3, 21, 21)).astype(np.int32)
    for name in ("a.npz", "b.npz"):
        save_confusions(tmp_path / name, ["x", "yy", "z"], confusions)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    ids, loaded = load_confusions(tmp_path / "a.npz")
    assert ids == ["x", "yy", "z"]
    np.testing.assert_array_equal(loaded, confusions)


def test_confusions_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.npz: no such file"):
        load_confusions(tmp_path / "absent.npz")
    save_confusions(tmp_path / "a.npz", ["x"], np.zeros((1, 2, 2), np.int32))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "unequal.npz", ids=np.array(["x"]), confusions=np.zeros((2, 2, 2)))
    for name in ("cut", "empty", "other", "unequal"):
        with pytest.raises(UserError, match=f"{name}.npz: not per-picture confusions"):
            load_confusions(tmp_path / f"{name}.npz")


def test_confusions_are_given_in_the_order_of_the_pictures_and_of_these_alone(tmp_path):
    confusions = np.random.default_rng(0).integers(0, 99, (3, 21, 21)).astype(np.int32)
    save_confusions(tmp_path / "a.npz", ["x", "yy", "z"], confusions)
    ordered = confusions_of(tmp_path / "a.npz", ["z", "x", "yy"], VOC21)
    assert ordered.dtype == np.int64  # sums of VOC val pass what int32 holds
    np.testing.assert_array_equal(ordered, confusions[[2, 0, 1]])
    for wanted, first in ((["x", "yy"], "z"), (["x", "yy", "w"], "w"), (["x", "yy", "z", "zz"], "zz")):
        with pytest.raises(UserError, match=rf"a\.npz.*, the first is '{first}'; evaluate again"):
            confusions_of(tmp_path / "a.npz", wanted, VOC21)
    with pytest.raises(UserError, match=r"a\.npz: not of label space 'coco91'"):
        confusions_of(tmp_path / "a.npz", ["x", "yy", "z"], COCO91)


@pytest.fixture
def split(tmp_path):
    """A split of 20 masks of different sizes, and its manifest `tiny_val.csv`."""
    rng = np.random.default_rng(5)
    examples = []
    for number in range(20):
        mask = rng.choice([*range(21), VOID], size=(4 + number, 7)).astype(np.uint8)
        path = tmp_path / f"{number:02}.png"
        Image.fromarray(mask).save(path)
        examples.append(Example(f"{number:02}", path.with_suffix(".jpg"), path))
    write_manifest(tmp_path / "tiny_val.csv", examples)
    return tmp_path


def mask_of(split, id):
    return np.array(Image.open(split / f"{id}.png"))


def fill_store(split, *, ids=None, space="voc21"):
    """Write a store of scores of random predictions for the split."""
    classes = {"voc21": 21, "coco91": 91}[space]
    rng = np.random.default_rng(6)
    path = split / "net.h5"
    with ScoreWriter(path, system="net", label_space=space, kind="logits", resize="legacy") as store:
        for id in ids or [f"{number:02}" for number in range(20)]:
            store.add(id, rng.normal(size=(2, 3, classes)), size=mask_of(split, id).shape)
    return path


def evaluate(split, *options, name="out"):
    paths = {"scores": "net.h5", "manifest": "tiny_val.csv", "json": f"{name}.json", "confusions": f"{name}.npz"}
    main(["evaluate", *(part for key, file in paths.items() for part in (f"--{key}", str(split / file))), *options])
    return json.loads((split / f"{name}.json").read_text())


def error_of(split, *options):
    """Evaluate; return the one line of the failure, after checking that nothing was written."""
    with pytest.raises(SystemExit) as stopped:
        evaluate(split, *options)
    assert not list(split.glob("out*"))
    assert "\n" not in stopped.value.code
    return stopped.value.code


def test_evaluate_gives_the_metrics_of_all_pixels_together(split):
    store = fill_store(split)
    measured = evaluate(split)
    ids, confusions = load_confusions(split / "out.npz")
    assert ids == [f"{number:02}" for number in range(20)]
    assert confusions.dtype == np.int32
    with ScoreReader(store) as reader:
        for id, counts in zip(ids, confusions, strict=True):
            np.testing.assert_array_equal(counts, confusion(mask_of(split, id), reader.labels(id), 21))
    total = confusions.sum(axis=0)
    assert measured["pixel_accuracy"] == pytest.approx(np.trace(total) / total.sum())
    assert {key: measured[key] for key in ("system", "split", "label_space", "pictures", "classes")} == {
        "system": "net",
        "split": "tiny_val",
        "label_space": "voc21",
        "pictures": 20,
        "classes": 21,
    }
    assert measured["ids_sha256"] == ids_sha256(ids)
    assert len(measured["per_class_iou"]) == 21


def test_evaluate_gives_the_same_bytes_with_one_and_two_processes(split):
    fill_store(split)
    written = []
    for threads in ("1", "2"):
        evaluate(split, "--threads", threads)
        written.append([(split / name).read_bytes() for name in ("out.json", "out.npz")])
    assert written[0] == written[1]


def test_evaluate_scores_a_perfect_store_with_1(split):
    with ScoreWriter(split / "net.h5", system="vote", label_space="voc21", kind="labels", resize="legacy") as store:
        for number in range(20):
            mask = mask_of(split, f"{number:02}")
            store.add(f"{number:02}", np.where(mask == VOID, 0, mask), size=mask.shape)
    measured = evaluate(split)
    assert measured["miou"] == measured["pixel_accuracy"] == measured["fw_iou"] == 1


def test_evaluate_maps_coco_predictions_to_the_masks_of_voc(split):
    store = fill_store(split, space="coco91")
    evaluate(split)
    _, confusions = load_confusions(split / "out.npz")
    with ScoreReader(store) as reader:
        mapped = COCO91.to_voc21[reader.labels("03")]
    np.testing.assert_array_equal(confusions[3], confusion(mask_of(split, "03"), mapped, 21))


def test_evaluate_refuses_a_mapping_away_from_voc(split):
    fill_store(split)
    assert "cannot be mapped to 'coco91'" in error_of(split, "--label-space", "coco91")


def test_evaluate_names_missing_and_surplus_pictures(split):
    fill_store(split, ids=["00", "01", "02"])
    assert "17 of the 20 pictures of" in (message := error_of(split))
    assert "the first is '03'" in message
    fill_store(split)
    rows = (split / "tiny_val.csv").read_text().splitlines(keepends=True)
    (split / "tiny_val.csv").write_text("".join(rows[:-2]))
    assert "2 of the 20 pictures of" in (message := error_of(split))
    assert "the first is '18'" in message


def test_evaluate_names_a_mask_of_another_size(split):
    fill_store(split)
    Image.fromarray(np.zeros((7, 11), np.uint8)).save(split / "07.png")
    message = error_of(split, "--threads", "2")
    assert "07.png: the mask is 11 x 7 and the prediction 7 x 11" in message


def test_evaluate_names_a_mask_with_a_foreign_label(split):
    fill_store(split)
    mask = mask_of(split, "04")
    mask[0, 0] = 92
    Image.fromarray(mask).save(split / "04.png")
    assert "04.png: the mask has label 92" in error_of(split)


def test_evaluate_names_a_missing_mask_and_a_split_without_masks(split):
    fill_store(split)
    (split / "05.png").unlink()
    assert "05.png: no such mask" in error_of(split)
    (split / "tiny_val.csv").write_text("id,image,mask\n00,00.jpg,\n")
    assert "picture '00' has no mask" in error_of(split)


def test_evaluate_refuses_examples_with_boxes(split):
    fill_store(split)
    (split / "tiny_val.csv").write_text("id,image,mask,x1,y1,x2,y2\n00,00.jpg,00.png,0,0,2,2\n")
    assert "picture '00' has a box" in error_of(split)


def test_evaluate_refuses_masks_that_are_all_void(split):
    fill_store(split, ids=["00"])
    Image.fromarray(np.full((4, 7), VOID, np.uint8)).save(split / "00.png")
    (split / "tiny_val.csv").write_text("id,image,mask\n00,00.jpg,00.png\n")
    assert "not one pixel has a label" in error_of(split)
