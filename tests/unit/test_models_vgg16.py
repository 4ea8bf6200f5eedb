"""VGG16: parity with keras.applications, Caffe's pooling, padding, names."""

import keras
import numpy as np
import pytest
from numpy_layers import convolution, picture, randomise, relu

from segrepro.models.blocks import LayerMaker
from segrepro.models.layers import Normalise
from segrepro.models.vgg16 import VGG16_SHAPES, VGGShape, vgg16

SMALL = VGGShape(depths=(2, 1, 1, 1, 1), channels=(2, 3, 4, 5, 6))


def build(shape, *, batch_norm=False, normalisation=None, **options):
    pictures = keras.Input((None, None, 3))
    x = Normalise(normalisation)(pictures) if normalisation else pictures
    return keras.Model(pictures, vgg16(x, LayerMaker(0, 0.9, 1e-5), shape=shape, batch_norm=batch_norm, **options))


def weighted(model):
    return {layer.name: layer for layer in model.layers if layer.weights}


def pool(x):
    """2x2 maxima of stride 2; windows that stick out at the right and lower border count (Caffe)."""
    height, width, channels = x.shape
    out = np.empty((-(-height // 2), -(-width // 2), channels))
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = x[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max(axis=(0, 1))
    return out


def test_features_equal_those_of_keras_applications_with_the_same_weights():
    reference = randomise(keras.applications.VGG16(weights=None, include_top=False, input_shape=(None, None, 3)))
    model = build(VGG16_SHAPES["vgg16"], normalisation="caffe")
    assert list(weighted(model)) == list(weighted(reference))
    for name, layer in weighted(model).items():
        layer.set_weights(reference.get_layer(name).get_weights())
    pictures = picture(64, 96)
    expected = reference(keras.applications.vgg16.preprocess_input(pictures.copy())).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(model(pictures)["pool5"], expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.parametrize("size", [(45, 62), (1, 1), (33, 2)])
@pytest.mark.parametrize("padding", [1, 3])
def test_every_tap_equals_a_plain_implementation_on_odd_sizes(size, padding):
    model = randomise(build(SMALL, first_padding=padding))
    pictures = picture(*size) / 255
    taps, more = model(pictures), padding - 1
    x = np.pad(pictures[0], ((more, more), (more, more), (0, 0)))
    for block, depth in enumerate(SMALL.depths, start=1):
        for number in range(1, depth + 1):
            kernel, bias = model.get_layer(f"block{block}_conv{number}").get_weights()
            x = relu(convolution(x, kernel) + bias)
        np.testing.assert_allclose(taps[f"block{block}"][0], x, rtol=0, atol=1e-5)
        x = pool(x)
        np.testing.assert_allclose(taps[f"pool{block}"][0], x, rtol=0, atol=1e-5)


def test_a_batch_norm_follows_every_convolution_where_wanted():
    plain, normalised = build(SMALL), build(SMALL, batch_norm=True)
    convolutions = set(weighted(plain))
    assert set(weighted(normalised)) == convolutions | {f"{name}_bn" for name in convolutions}
    names = [layer.name for layer in normalised.layers]
    place = names.index("block1_conv2")
    assert names[place : place + 3] == ["block1_conv2", "block1_conv2_bn", "block1_conv2_relu"]


def test_the_first_weights_depend_on_neither_padding_nor_batch_norm():
    one, other = build(SMALL), build(SMALL, batch_norm=True, first_padding=100)
    for name, layer in weighted(one).items():
        for mine, theirs in zip(layer.get_weights(), other.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
