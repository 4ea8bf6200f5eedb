"""Sliding windows: where they start, how they share the nodes of the mean, and what their mean is."""

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from prediction_setup import CLASSES, at_full_size, mean_of, random_pictures, small_network, softmax
from segrepro.inference.augmented import scaled_extent
from segrepro.inference.windows import ViewAxis, window_starts
from segrepro.stores.resize import RESIZE_MODES, interpolation_taps, mapped_positions, resize_scores


def test_windows_start_every_stride_and_end_at_the_border():
    assert window_starts(1000, 513, 342) == [0, 342, 487]
    assert window_starts(513, 513, 342) == window_starts(100, 513, 342) == [0]
    assert window_starts(514, 513, 342) == [0, 1]
    assert window_starts(9, 3, 3) == [0, 3, 6]


@given(st.integers(1, 80), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_windows_leave_no_pixel_out(extent, window, stride):
    starts = window_starts(extent, window, min(stride, window))
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert max(starts[-1] + window, extent) == max(window, extent)
    assert all(later - earlier <= window for earlier, later in pairwise(starts))


@given(
    extent=st.integers(1, 60),
    scale=st.floats(0.3, 2.5),
    stride=st.sampled_from([1, 4]),
    mode=st.sampled_from(RESIZE_MODES),
    mirrored=st.booleans(),
    window=st.integers(1, 70),
    overlap=st.floats(0.3, 1),
)
@settings(max_examples=100, deadline=None)
def test_every_node_gets_a_share_of_one_in_all(extent, scale, stride, mode, mirrored, window, overlap):
    axis = ViewAxis(
        extent=extent,
        scaled=scaled_extent(extent, scale, mode),
        nodes=-(-extent // stride),
        mode=mode,
        mirrored=mirrored,
        window=window,
        window_stride=max(1, int(window * overlap)),
    )
    shares = np.zeros(axis.nodes)
    for start in axis.starts():
        map_extent = -(-axis.window_extent() // 4)
        taps = axis.taps(start, map_extent)
        shares[taps.nodes] += taps.share
        assert taps.lower.size == taps.upper.size == taps.weight.size == shares[taps.nodes].size
        if taps.lower.size:
            assert taps.lower.min() >= 0
            assert taps.upper.max() < map_extent
            assert ((taps.weight >= 0) & (taps.weight <= 1)).all()
    np.testing.assert_allclose(shares, 1, atol=1e-6)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize(("extent", "scaled_to", "maps"), [(375, 187, 12), (33, 66, 9), (1, 3, 1), (20, 1, 1)])
def test_a_whole_view_is_interpolated_as_the_reader_does(mode, extent, scaled_to, maps):
    taps = ViewAxis(extent, scaled_to, extent, mode).taps(0, maps)
    lower, upper, weight = interpolation_taps(maps, extent, mode)
    assert taps.nodes == slice(0, extent)
    assert (taps.share == 1).all()
    np.testing.assert_allclose(taps.lower + taps.weight, lower + weight, atol=1e-5)
    assert ((taps.upper == upper) | (taps.weight < 1e-5)).all()


def test_mapping_refuses_an_unknown_mode():
    with pytest.raises(ValueError, match="'bicubic' is unknown"):
        mapped_positions(np.zeros(1), 2, 4, "bicubic")


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_window_that_covers_the_picture_is_the_whole_picture(mode):
    model, pictures = small_network(stride=4, kernel=3), random_pictures(2, 33, 46)
    options = {"scales": (0.5, 1.0, 1.5), "flip": True}
    whole = mean_of(model, pictures, mode, **options)
    np.testing.assert_array_equal(mean_of(model, pictures, mode, window=69, **options), whole)
    assert np.abs(mean_of(model, pictures, mode, window=40, **options) - whole).max() > 1e-4
    plain = softmax(at_full_size(model(tf.cast(pictures, tf.float32)), (33, 46), mode))
    np.testing.assert_allclose(mean_of(model, pictures, mode, window=46), plain, atol=2e-5)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_overlapping_windows_are_averaged(mode, mirrored):
    model, pictures = small_network(stride=4, kernel=3), random_pictures(1, 33, 46)
    inputs = tf.cast(pictures[:, :, ::-1] if mirrored else pictures, tf.float32).numpy()
    total, count = np.zeros((33, 46, CLASSES)), np.zeros((33, 46, 1))
    for y in (0, 12, 16):
        for x in (0, 12, 24, 29):
            logits = model(inputs[:, y : y + 17, x : x + 17]).numpy()[0]
            total[y : y + 17, x : x + 17] += softmax(resize_scores(logits, (17, 17), mode))
            count[y : y + 17, x : x + 17] += 1
    expected = total / count
    mean = mean_of(model, pictures, mode, window=17, window_stride=12, flip=mirrored)[0]
    if mirrored:
        straight = mean_of(model, pictures, mode, window=17, window_stride=12)[0]
        expected = (straight + expected[:, ::-1]) / 2
    np.testing.assert_allclose(mean, expected, atol=2e-5)


def test_windows_at_stride_average_what_each_sees():
    model, pictures = small_network(stride=4, kernel=1), random_pictures(1, 33, 49)
    # A pointwise network gives every window the same logits, as long as windows start on the stride's grid.
    windows = mean_of(model, pictures, "align_corners", window=17, window_stride=8, average_at="stride")
    np.testing.assert_allclose(windows, softmax(model(tf.cast(pictures, tf.float32)).numpy()), atol=2e-5)
