"""Upsampling of score maps equals TensorFlow's in each mode, without TensorFlow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segrepro.stores.resize import RESIZE_MODES, interpolation_taps, resize_scores, resized_blocks

FLAGS = {
    "half_pixel": {"half_pixel_centers": True, "align_corners": False},
    "legacy": {"half_pixel_centers": False, "align_corners": False},
    "align_corners": {"half_pixel_centers": False, "align_corners": True},
}
SHAPES = [
    ((3, 5), (17, 33)),
    ((33, 47), (375, 500)),
    ((5, 4), (5, 4)),
    ((1, 1), (7, 3)),
    ((1, 6), (1, 96)),
    ((9, 8), (1, 1)),
    ((12, 9), (5, 4)),  # smaller, without antialiasing
    ((65, 65), (513, 513)),
]


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_equals_tensorflow(mode, shape, size):
    import tensorflow as tf

    scores = np.random.default_rng(0).normal(size=(*shape, 4)).astype(np.float32)
    expected = tf.raw_ops.ResizeBilinear(images=scores[None], size=size, **FLAGS[mode])[0].numpy()
    np.testing.assert_allclose(resize_scores(scores, size, mode), expected, atol=5e-5, rtol=0)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mode=st.sampled_from(RESIZE_MODES),
    value=st.floats(-1000, 1000, width=16),
)
@settings(max_examples=50, deadline=None)
def test_a_constant_map_stays_constant(shape, size, mode, value):
    resized = resize_scores(np.full(shape, value, np.float16), size, mode)
    assert resized.shape == (*size, shape[2])
    assert resized.dtype == np.float32
    assert (resized == np.float32(value)).all()


@given(
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 600)),
    mode=st.sampled_from(RESIZE_MODES),
)
def test_taps_are_neighbours_inside_the_map(sizes, mode):
    lower, upper, weight = interpolation_taps(*sizes, mode)
    assert lower.min() >= 0
    assert upper.max() <= sizes[0] - 1
    assert set((upper - lower).tolist()) <= {0, 1}
    assert ((weight >= 0) & (weight <= 1)).all()
    assert (np.diff(lower + weight) >= 0).all()


def test_bands_of_a_large_map_cover_it_once():
    scores = np.random.default_rng(1).normal(size=(5, 40, 91))
    bands = [(top, band.copy()) for top, band in resized_blocks(scores, (70, 640), "half_pixel")]
    assert len(bands) > 1
    assert [top for top, _ in bands] == np.cumsum([0] + [len(band) for _, band in bands[:-1]]).tolist()
    np.testing.assert_array_equal(
        np.concatenate([band for _, band in bands]), resize_scores(scores, (70, 640), "half_pixel")
    )


def test_an_unknown_mode_and_an_empty_size_are_refused():
    with pytest.raises(ValueError, match="'bicubic' is unknown"):
        resize_scores(np.zeros((2, 2, 1)), (4, 4), "bicubic")
    with pytest.raises(ValueError, match="must be positive"):
        resize_scores(np.zeros((2, 2, 1)), (4, 0), "legacy")
