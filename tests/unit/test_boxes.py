"""Boxes: enlarged about their centres, overlaps, tight boxes of objects, and cutting with padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segrepro.data.boxes import areas, check_touches, cut, enlarge, overlaps, tight_boxes
from segrepro.errors import UserError

SIDE = 12  # of the grid on which boxes are counted pixel by pixel


@st.composite
def boxes(draw, low=0, high=SIDE):
    x1, x2 = sorted(draw(st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(draw(st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True)))
    return x1, y1, x2, y2


def pixels(box):
    x1, y1, x2, y2 = box
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


@given(st.lists(boxes(), min_size=1, max_size=4), st.lists(boxes(), min_size=1, max_size=4))
def test_overlap_is_shared_over_united_pixels(first, second):
    expected = [[len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b)) for b in second] for a in first]
    np.testing.assert_allclose(overlaps(np.array(first), np.array(second)), expected, rtol=1e-12)
    assert areas(np.array(first)).tolist() == [len(pixels(a)) for a in first]


def test_overlaps_with_no_boxes_are_an_empty_matrix():
    assert overlaps(np.zeros((0, 4), np.int32), np.array([[0, 0, 2, 2]])).shape == (0, 1)
    assert overlaps(np.array([[0, 0, 2, 2]]), np.zeros((0, 4), np.int32)).shape == (1, 0)


def test_overlap_of_large_boxes_does_not_overflow():
    box = np.array([[0, 0, 60_000, 60_000]], np.int32)
    assert overlaps(box, box).item() == 1


@given(boxes(-500, 500), st.floats(0.01, 4), st.integers(-99, 99))
def test_enlarging_scales_both_sides_about_the_centre(box, factor, shift):
    large = enlarge(np.array(box, np.int32), factor)
    sides = np.array([box[2] - box[0], box[3] - box[1]])
    assert np.all(large[2:] - large[:2] == np.maximum(np.rint(sides * factor), 1))
    centres = np.array([box[0] + box[2], box[1] + box[3]]) - (large[:2] + large[2:])
    assert np.all((centres == 0) | (centres == 1))  # twice the distance: at most half a pixel
    np.testing.assert_array_equal(enlarge(np.array(box) + shift, factor), large + shift)


@pytest.mark.parametrize("factor", [0, -1, float("nan")])
def test_a_factor_that_leaves_nothing_is_refused(factor):
    with pytest.raises(ValueError, match="factor"):
        enlarge(np.array([0, 0, 1, 1]), factor)


def test_enlarging_by_one_changes_nothing_and_many_boxes_keep_their_order():
    several = np.array([[3, 4, 8, 5], [0, 0, 10, 20]])
    np.testing.assert_array_equal(enlarge(several, 1), several)
    assert enlarge(several, 1.2).tolist() == [[2, 4, 8, 5], [-1, -2, 11, 22]]


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 7, 254, 255])
    )
)
def test_a_tight_box_holds_all_of_its_object_and_no_smaller_one_does(mask):
    found = tight_boxes(mask)
    assert list(found) == sorted(set(mask.ravel().tolist()) - {0, 255})
    for number, (x1, y1, x2, y2) in found.items():
        inside = mask[y1:y2, x1:x2] == number
        assert inside.sum() == (mask == number).sum()
        edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
        assert all(edge.any() for edge in edges)


@given(boxes(-8, 20), st.sampled_from([(6, 9), (6, 9, 3)]))
def test_a_cut_holds_the_pixels_inside_and_the_fill_outside(box, shape):
    array = np.arange(1, 1 + np.prod(shape), dtype=np.uint8).reshape(shape)
    x1, y1, x2, y2 = box
    if not pixels(box) & pixels((0, 0, 9, 6)):
        with pytest.raises(UserError, match=rf"^p: the box {x1},{y1},{x2},{y2} lies outside the 9 x 6 picture; make"):
            cut(array, box, fill=255, name="p")
        return
    part = cut(array, box, fill=255, name="p")
    assert part.shape == (y2 - y1, x2 - x1, *shape[2:])
    for y in range(y1, y2):
        for x in range(x1, x2):
            inside = 0 <= x < 9 and 0 <= y < 6
            assert np.all(part[y - y1, x - x1] == (array[y, x] if inside else 255))


def test_a_cut_is_a_copy():
    array = np.zeros((4, 4), np.uint8)
    cut(array, (0, 0, 4, 4), fill=0, name="p")[:] = 9
    assert not array.any()


@pytest.mark.parametrize("box", [(4, 0, 5, 1), (-2, 0, 0, 1), (0, 3, 1, 9), (0, -1, 1, 0), (1, 1, 1, 2)])
def test_a_box_that_only_borders_the_picture_is_outside(box):
    with pytest.raises(UserError, match="lies outside the 4 x 3 picture"):
        check_touches(box, 4, 3, name="p")
