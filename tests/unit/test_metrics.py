"""Metrics equal scikit-learn's and the definitions, over the classes that occur in the ground truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

from segrepro.evaluation.confusion import confusion
from segrepro.evaluation.metrics import (
    class_ious,
    counts_of_confusions,
    counts_of_labels,
    mean_iou,
    metrics,
    picture_mious,
    summary,
)
from segrepro.labels import COCO91, VOC21, VOID

CONFUSIONS = arrays.arrays(np.int64, (5, 5), elements=st.integers(0, 2**40)).filter(np.any)


@pytest.mark.parametrize("seed", range(5))
def test_equal_scikit_learn_on_random_labels_with_void(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([*range(15), VOID], 2000)  # the classes 15..20 do not occur
    prediction = np.where(rng.random(2000) < 0.6, np.minimum(truth, 20), rng.integers(0, 21, 2000))
    measured = metrics(confusion(truth, prediction, 21))
    truth, prediction = truth[truth != VOID], prediction[truth != VOID]
    present = list(range(15))
    iou = jaccard_score(truth, prediction, labels=present, average=None)
    np.testing.assert_allclose(measured.iou[:15], iou)
    assert np.isnan(measured.iou[15:]).all()
    assert measured.miou == pytest.approx(iou.mean())
    assert measured.pixel_accuracy == pytest.approx(accuracy_score(truth, prediction))
    recall = recall_score(truth, prediction, labels=present, average="macro")
    assert measured.mean_accuracy == pytest.approx(recall)
    weighted = jaccard_score(truth, prediction, labels=present, average="weighted")
    assert measured.fw_iou == pytest.approx(weighted)


def test_hand_computed():
    measured = metrics(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    assert measured.iou[:2].tolist() == [6 / 9, 3 / 6]
    assert measured.miou == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert measured.pixel_accuracy == 9 / 12
    assert measured.mean_accuracy == (6 / 8 + 3 / 4) / 2
    assert measured.fw_iou == pytest.approx((8 * 6 / 9 + 4 * 3 / 6) / 12)
    assert measured.present.tolist() == [True, True, False]


def test_an_absent_class_that_is_predicted_lowers_the_others_but_is_not_averaged():
    measured = metrics(np.array([[5, 5], [0, 0]]))
    assert measured.miou == 0.5
    assert np.isnan(measured.iou[1])


def test_all_background_scores_its_share_over_the_number_of_classes():
    counts = np.zeros((21, 21), int)
    counts[:, 0] = [7300] + [135] * 20  # VOC val: some 73 % background
    assert metrics(counts).miou == pytest.approx(0.73 / 21)


@given(CONFUSIONS)
def test_metrics_are_fractions_and_order_as_they_must(counts):
    measured = metrics(counts)
    for value in (measured.miou, measured.pixel_accuracy, measured.mean_accuracy, measured.fw_iou):
        assert 0 <= value <= 1
    assert measured.miou <= measured.mean_accuracy + 1e-12  # IoU never exceeds recall
    assert measured.fw_iou <= measured.pixel_accuracy + 1e-12


@given(CONFUSIONS, st.permutations(range(5)))
def test_renaming_the_classes_changes_no_mean(counts, order):
    one, other = metrics(counts), metrics(counts[np.ix_(order, order)])
    for name in ("miou", "pixel_accuracy", "mean_accuracy", "fw_iou"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)


@given(CONFUSIONS)
def test_a_perfect_prediction_scores_1(counts):
    perfect = np.diag(counts.sum(axis=1))
    measured = metrics(perfect)
    assert (measured.miou, measured.pixel_accuracy, measured.fw_iou) == (1, 1, pytest.approx(1))


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="not one pixel"):
        metrics(np.zeros((21, 21), int))
    with pytest.raises(ValueError, match="square"):
        metrics(np.zeros((3, 2), int))


def test_picture_mious_are_of_each_picture_and_nan_where_all_is_void():
    counts = np.array([[[1, 0], [0, 1]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]])
    np.testing.assert_array_equal(picture_mious(counts), [1, 0.5, np.nan])


def test_summary_names_the_classes_and_gives_null_for_absent_ones():
    counts = np.zeros((21, 21), int)
    counts[0, 0], counts[8, 8], counts[8, 12] = 3, 1, 1
    result = summary(counts, VOC21)
    assert list(result["per_class_iou"]) == list(VOC21.classes)
    assert result["per_class_iou"]["cat"] == 0.5
    assert result["per_class_iou"]["dog"] is None
    assert (result["classes"], result["miou"]) == (2, 0.75)
    assert len(summary(np.eye(91), COCO91)["per_class_iou"]) == 81  # 80 categories in use and the background
    with pytest.raises(ValueError, match="has 91 labels"):
        summary(counts, COCO91)


@given(arrays.arrays(np.uint8, (2, 6, 7), elements=st.sampled_from([0, 1, 4, VOID])))
def test_counts_of_labels_and_of_confusions_are_the_same_and_give_the_metrics(maps):
    truth, prediction = maps[0], np.where(maps[0] == VOID, VOID, np.where(maps[1] == VOID, 2, maps[1]))
    matrix = confusion(truth, prediction, 5)
    counts = counts_of_confusions(matrix)
    np.testing.assert_array_equal(counts, counts_of_labels(truth, prediction, 5))
    if matrix.any():
        np.testing.assert_array_equal(class_ious(counts), metrics(matrix).iou)
        assert mean_iou(counts) == pytest.approx(metrics(matrix).miou)
    else:
        assert np.isnan(mean_iou(counts))
