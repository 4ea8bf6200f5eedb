"""IoU by object size: the definition of Wang et al., objects from instance masks or connected regions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro.evaluation.fine_grained import size_iou
from segrepro.evaluation.object_sizes import UNITS, size_counts, size_names
from segrepro.labels import VOID

SIDES = (2, 4)


def scene():
    """Two cats (6 and 16 pixels), a dog of 3 x 1; a void line between the cats."""
    truth, instances = np.zeros((8, 12), np.uint8), np.zeros((8, 12), np.uint8)
    for number, (rows, columns, label) in enumerate(
        [(slice(0, 2), slice(0, 3), 2), (slice(3, 7), slice(0, 4), 2), (slice(0, 1), slice(8, 11), 3)], start=1
    ):
        truth[rows, columns], instances[rows, columns] = label, number
    truth[2, 0:4] = instances[2, 0:4] = VOID
    return truth, instances


def reference(truth, prediction, instances, classes):
    """(class, size, IoU) of each object, pixel sets in plain Python."""
    found = []
    places = [(y, x) for y, x in np.ndindex(*truth.shape) if truth[y, x] != VOID]
    for number in sorted({int(n) for n in instances.ravel()} - {0, VOID}):
        labels = [int(truth[p]) for p in places if instances[p] == number]
        if not labels or (label := max(range(classes), key=labels.count)) == 0:
            continue
        pixels = {p for p in places if instances[p] == number and truth[p] == label}
        hits = sum(prediction[p] == label for p in pixels)
        of_class = sum(truth[p] == label for p in places)
        false = sum(prediction[p] == label and truth[p] != label for p in places)
        found.append((label, len(pixels), hits / (len(pixels) + false * len(pixels) / of_class)))
    return found


def test_each_object_has_its_share_of_the_false_positives():
    truth, instances = scene()
    prediction = np.where(truth == VOID, 0, truth)
    prediction[0, 0:3] = 0  # half of the small cat is lost
    prediction[7, 0:11] = 2  # 11 pixels of background are cat: 3 for the small one, 8 for the large
    number, total = size_counts(truth, prediction, 5, sides=SIDES, instances=instances)
    assert number[:, 2].tolist() == [0, 1, 1]
    assert total[:, 2].tolist() == [0, round(UNITS * 3 / (6 + 3)), round(UNITS * 16 / (16 + 8))]
    assert number[:, 3].tolist() == [1, 0, 0]
    assert total[:, 3].tolist() == [UNITS, 0, 0]
    assert number.sum() == 3  # no background


def test_without_an_instance_mask_objects_are_connected_regions():
    truth, instances = scene()
    prediction = np.where(truth == VOID, 0, truth)
    expected = size_counts(truth, prediction, 5, sides=SIDES, instances=instances)
    np.testing.assert_array_equal(size_counts(truth, prediction, 5, sides=SIDES), expected)
    truth[2, 0:4] = 2  # the cats are one region now, but two instances
    assert size_counts(truth, truth, 5, sides=SIDES)[0, :, 2].tolist() == [0, 0, 1]
    diagonal = np.eye(4, dtype=np.uint8)
    assert size_counts(diagonal, diagonal, 5, sides=SIDES)[0].sum() == 1


def test_a_picture_without_objects_or_all_void_counts_none():
    for truth in (np.zeros((4, 4), np.uint8), np.full((4, 4), VOID, np.uint8)):
        for instances in (None, np.zeros((4, 4), np.uint8), np.full((4, 4), VOID, np.uint8)):
            assert not size_counts(truth, np.ones((4, 4), np.uint8), 5, sides=SIDES, instances=instances).any()


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), shape=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_equals_a_plain_reference(seed, shape):
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, VOID], np.uint8), shape)
    instances = rng.choice(np.array([0, 1, 2, 3, 7, VOID], np.uint8), shape)
    prediction = rng.integers(0, 4, shape).astype(np.uint8)
    number, total = size_counts(truth, prediction, 4, sides=SIDES, instances=instances)
    expected = np.zeros((2, 3, 4))
    for label, size, iou in reference(truth, prediction, instances, 4):
        place = (0 if size < 4 else 1 if size < 16 else 2, label)
        expected[(0, *place)] += 1
        expected[(1, *place)] += iou
    np.testing.assert_array_equal(number, expected[0])
    np.testing.assert_allclose(total / UNITS, expected[1], atol=1e-5)
    other = np.where(truth == VOID, 3 - prediction, prediction)
    np.testing.assert_array_equal([number, total], size_counts(truth, other, 4, sides=SIDES, instances=instances))


def test_the_mean_is_over_a_class_objects_and_then_over_classes():
    counts = np.zeros((2, 2, 4), np.int64)
    counts[0, 0, 1], counts[1, 0, 1] = 4, 2 * UNITS  # four objects of one class: 0.5 on average
    counts[0, 0, 3], counts[1, 0, 3] = 1, UNITS
    assert size_iou(counts)[0] == pytest.approx(0.75)
    assert np.isnan(size_iou(counts)[1])


def test_the_ranges_have_names():
    assert size_names((32, 96)) == ["< 32²", "32²–96²", "≥ 96²"]
    assert size_names((50,)) == ["< 50²", "≥ 50²"]
