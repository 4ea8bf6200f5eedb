"""Boxes and scores are resized as MATLAB's ``imresize`` where the protocol says so, and plainly bilinear elsewhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segrepro.config.systems import ProposalWise
from segrepro.inference.aggregation import AggregateMap
from segrepro.inference.box_resizing import resized
from segrepro.inference.proposalwise import CropNetwork


def weights_of_imresize(extent: int, size: int) -> np.ndarray:
    """MATLAB's ``contributions`` for 'bilinear', as a matrix (size, extent), in its own one-based words."""
    scale = size / extent
    stretch = min(scale, 1.0)  # antialiasing, where the axis shrinks
    width = 2.0 / stretch
    u = np.arange(1, size + 1) / scale + 0.5 * (1 - 1 / scale)
    left = np.floor(u - width / 2)
    indices = left[:, None] + np.arange(int(np.ceil(width)) + 2)
    weights = np.maximum(0, 1 - np.abs(stretch * (u[:, None] - indices)))
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.concatenate([np.arange(extent), np.arange(extent)[::-1]])
    columns = mirrored[(indices.astype(int) - 1) % len(mirrored)]
    matrix = np.zeros((size, extent))
    np.add.at(matrix, (np.arange(size)[:, None], columns), weights)
    return matrix


def imresize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    down, across = (weights_of_imresize(*pair) for pair in zip(pixels.shape[:2], size, strict=True))
    return np.einsum("yi,xj,ijc->yxc", down, across, pixels, optimize=True)


def test_the_weights_are_those_of_a_known_case():
    """Eight samples to four: a triangle of half width 2, whose mirrored part falls on the first sample twice."""
    expected = np.array([[4, 3, 1, 0, 0, 0, 0, 0], [0, 1, 3, 3, 1, 0, 0, 0]]) / 8
    np.testing.assert_allclose(weights_of_imresize(8, 4)[:2], expected)


@given(extent=st.tuples(*[st.integers(1, 40)] * 2), size=st.tuples(*[st.integers(1, 40)] * 2), seed=st.integers(0, 9))
@example(extent=(1, 40), size=(7, 1), seed=0)
@example(extent=(500, 375), size=(224, 224), seed=0)
@example(extent=(224, 224), size=(113, 150), seed=0)
@settings(max_examples=60, deadline=None)
def test_antialias_equals_matlab(extent, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*extent, 2)).astype(np.float32)
    result = resized(tf.constant(pixels), size, "antialias").numpy()
    np.testing.assert_allclose(result, imresize(pixels, size), atol=0.02)  # of 255, in float32
    if extent[0] <= size[0] and extent[1] <= size[1]:
        np.testing.assert_allclose(result, resized(tf.constant(pixels), size, "bilinear"), atol=0.02)


def test_a_box_is_shrunk_to_the_input_and_its_scores_to_the_box():
    """Both ways, as the released code: a box of 40 for an input of 16, and scores of 16 for a box of 7."""
    side, random = 16, np.random.default_rng(0)
    picture = random.integers(0, 256, (50, 60, 3), np.uint8)
    model = keras.Sequential([keras.Input((side, side, 3)), keras.layers.Conv2D(1, 1)])
    network = CropNetwork(model, side, "antialias")
    crop = network.crop(picture, (5, 3, 45, 33), name="p").numpy()
    np.testing.assert_allclose(crop, imresize(picture[3:33, 5:45].astype(float), (side, side)), atol=0.02)
    scores = random.normal(5, 3, (side, side, 3)).astype(np.float32)
    pasted = AggregateMap((20, 20), 3, ProposalWise(of="scores", shrink="antialias"))
    pasted.paste(tf.constant(scores), np.array([2, 4, 11, 11]))
    np.testing.assert_allclose(pasted.result()[4:11, 2:11], np.maximum(imresize(scores, (7, 9)), 0), atol=1e-3)


@pytest.mark.parametrize("shrink", ["bilinear", "antialias"])
def test_fine_stripes_are_averaged_by_antialiasing_alone(shrink):
    """What it is for: stripes of one pixel become grey, and not stripes of another width."""
    stripes = np.repeat(np.arange(90)[None, :, None] % 2 * 255.0, 90, axis=0).astype(np.float32)
    spread = resized(tf.constant(stripes), (20, 20), shrink).numpy()[:, 2:-2].std()
    assert (spread < 10) == (shrink == "antialias")
