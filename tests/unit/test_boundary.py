"""Boundary IoU and trimaps equal slow references written from the papers; void is free; the properties hold."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import jaccard_score

from segrepro.evaluation.boundary import (
    boundary_counts,
    boundary_distance,
    boundary_pixels,
    boundary_width,
    trimap_counts,
)
from segrepro.evaluation.metrics import class_ious, counts_of_labels, mean_iou
from segrepro.labels import VOID

CLASSES = 4
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)
TRUTHS = arrays.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 0, 0, 1, 2, VOID]))


def blobs(seed, shape=(60, 80), *, void=False):
    """Labels in smooth regions, some void."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((CLASSES, *shape)).astype(np.float32).transpose(1, 2, 0), (0, 0), 5)
    labels = noise.argmax(axis=2).astype(np.uint8)
    if void:
        labels[cv2.GaussianBlur(rng.random(shape).astype(np.float32), (0, 0), 4) > 0.53] = VOID
    return labels


def released_boundary(mask, ratio):
    """The boundary region of a binary mask, step by step as the authors' text and code have it."""
    steps = max(1, round(ratio * np.hypot(*mask.shape)))
    eroded = np.pad(mask.astype(bool), 1)
    for _ in range(steps):
        padded = np.pad(eroded, 1)
        moved = [padded[y : y + eroded.shape[0], x : x + eroded.shape[1]] for y in range(3) for x in range(3)]
        eroded = np.logical_and.reduce(moved)
    return mask.astype(bool) & ~eroded[1:-1, 1:-1]


def neighbour_distance(truth):
    """The chessboard distance of each pixel to the nearest one of another label, by trying all of them."""
    height, width = truth.shape
    distance = np.full(truth.shape, np.inf)
    for y in range(height):
        for x in range(width):
            other = np.argwhere(truth != truth[y, x])
            if len(other):
                distance[y, x] = np.abs(other - (y, x)).max(axis=1).min()
    return distance


@pytest.mark.parametrize("ratio", [0.005, 0.02, 0.08])
@pytest.mark.parametrize("seed", range(3))
def test_boundary_iou_of_each_class_equals_the_released_procedure(seed, ratio):
    truth, prediction = blobs(seed), blobs(seed + 100)
    counts = boundary_counts(truth, prediction, CLASSES, ratio=ratio)
    for label in range(CLASSES):
        true, predicted = (released_boundary(labels == label, ratio) for labels in (truth, prediction))
        expected = [(true & predicted).sum(), true.sum(), predicted.sum()]
        assert counts[:, label].tolist() == expected
    union = counts[1] + counts[2] - counts[0]
    np.testing.assert_allclose(class_ious(counts), counts[0] / union)


def test_void_is_taken_out_of_both_before_contours_are_drawn():
    truth, prediction = blobs(3, void=True), blobs(4)
    counts = boundary_counts(truth, prediction, CLASSES, ratio=0.03)
    prediction = np.where(truth == VOID, VOID, prediction)
    for label in range(CLASSES):
        true, predicted = (released_boundary(labels == label, 0.03) for labels in (truth, prediction))
        assert counts[:, label].tolist() == [(true & predicted).sum(), true.sum(), predicted.sum()]


def test_the_distance_is_two_percent_of_the_diagonal_and_at_least_one_pixel():
    assert boundary_width((300, 400), 0.02) == 10
    assert boundary_width((375, 500), 0.02) == 12  # 12.5 is rounded to even, as in the authors' code
    assert boundary_width((5, 5), 0.02) == 1


def test_at_the_pictures_edge_a_mask_ends():
    labels = np.zeros((9, 9), np.uint8)
    near = boundary_pixels(labels, 2)
    assert near.sum() == 81 - 25
    assert not near[2:7, 2:7].any()


@settings(max_examples=60)
@given(truth=TRUTHS)
def test_the_distance_to_another_label_is_exact(truth):
    distance = boundary_distance(truth)
    expected = neighbour_distance(truth)
    if distance is None:
        assert np.isinf(expected).all()
    else:
        np.testing.assert_array_equal(distance, expected)


def test_a_trimaps_miou_equals_scikit_learn_on_the_pixels_near_another_label():
    truth, prediction = blobs(1, (40, 50), void=True), blobs(2, (40, 50))
    distance = neighbour_distance(truth)
    for width, counts in zip((1, 3, 7), trimap_counts(truth, prediction, CLASSES, widths=(1, 3, 7)), strict=True):
        chosen = (distance <= width) & (truth != VOID)
        expected = jaccard_score(truth[chosen], prediction[chosen], labels=np.unique(truth[chosen]), average="macro")
        assert mean_iou(counts) == pytest.approx(expected)


def test_where_void_lies_on_the_boundaries_the_band_is_the_dilated_void_of_the_papers():
    truth = blobs(1)
    truth[boundary_distance(truth) == 1] = VOID
    dilated = cv2.dilate((truth == VOID).astype(np.uint8), np.ones((11, 11), np.uint8)) > 0
    (counts,) = trimap_counts(truth, truth, CLASSES, widths=(5,))
    assert counts[1].sum() == (dilated & (truth != VOID)).sum() > 0


@settings(max_examples=60)
@given(truth=TRUTHS, seed=st.integers(0, 99))
def test_a_band_wider_than_the_picture_holds_every_pixel_but_void(truth, seed):
    prediction = np.random.default_rng(seed).integers(0, CLASSES, truth.shape).astype(np.uint8)
    (counts,) = trimap_counts(truth, prediction, CLASSES, widths=(50,))
    if len(np.unique(truth)) == 1:
        assert not counts.any()
    else:
        kept = truth != VOID
        np.testing.assert_array_equal(counts, counts_of_labels(truth[kept], prediction[kept], CLASSES))


@settings(max_examples=60)
@given(truth=TRUTHS, seed=st.integers(0, 99), ratio=st.floats(0.01, 0.5))
def test_what_is_predicted_under_void_is_free_and_wider_bands_hold_the_narrower(truth, seed, ratio):
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, CLASSES, truth.shape).astype(np.uint8)
    other = np.where(truth == VOID, rng.integers(0, CLASSES, truth.shape), prediction).astype(np.uint8)
    for count in (
        lambda labels: boundary_counts(truth, labels, CLASSES, ratio=ratio),
        lambda labels: trimap_counts(truth, labels, CLASSES, widths=(1, 2, 4)),
    ):
        np.testing.assert_array_equal(count(prediction), count(other))
    bands = trimap_counts(truth, prediction, CLASSES, widths=(1, 2, 4))
    assert (np.diff(bands, axis=0) >= 0).all()
    assert (bands[:, 0] <= np.minimum(bands[:, 1], bands[:, 2])).all()


@settings(max_examples=60)
@given(truth=TRUTHS)
def test_a_prediction_that_is_right_outside_of_void_scores_1(truth):
    prediction = np.where(truth == VOID, 3, truth).astype(np.uint8)
    boundary = boundary_counts(truth, prediction, CLASSES, ratio=0.1)
    for counts in (boundary, *trimap_counts(truth, prediction, CLASSES, widths=(1, 3))):
        assert np.isnan(score := mean_iou(counts)) or score == 1
    assert boundary[1].any() == (truth != VOID).any()


@settings(max_examples=40)
@given(truth=TRUTHS, seed=st.integers(0, 99))
def test_mirroring_and_turning_changes_nothing(truth, seed):
    prediction = np.random.default_rng(seed).integers(0, CLASSES, truth.shape).astype(np.uint8)
    for turn in (np.fliplr, np.rot90):
        turned = [np.ascontiguousarray(turn(labels)) for labels in (truth, prediction)]
        for count in (
            lambda *pair: boundary_counts(*pair, CLASSES, ratio=0.1),
            lambda *pair: trimap_counts(*pair, CLASSES, widths=(1, 2)),
        ):
            np.testing.assert_array_equal(count(truth, prediction), count(*turned))


def test_a_wide_boundary_makes_boundary_iou_the_plain_iou():
    truth, prediction = blobs(7), blobs(8)
    counts = boundary_counts(truth, prediction, CLASSES, ratio=0.9)
    np.testing.assert_array_equal(counts, counts_of_labels(truth, prediction, CLASSES))
