"""MobileNetV2: parity with keras.applications, the release in numpy, output strides, widths, its weights files."""

import functools
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import slim_reference
from numpy_layers import picture, randomise
from tf1_files import MOBILENET, assert_one_sentence, save_tf1

from networks import built, built_of_zeros, described
from segrepro.errors import UserError
from segrepro.models.blocks import LayerMaker
from segrepro.models.importing import load_weights
from segrepro.models.layers import Normalise
from segrepro.models.mobilenet_v2 import EPSILON, mobilenet_v2
from segrepro.models.operations import multiply_adds
from segrepro.models.weights import load_backbone_weights

FOLDER = Path(os.environ.get("SEGREPRO_REAL_WEIGHTS", "/nonexistent"))
PUBLISHED = FOLDER / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
KERAS = {**MOBILENET, "variant": "keras"}
SIZE = (64, 64, 3)
LAST = "block_16_project_BN"  # what DeepLab leaves of keras.applications' network


def backbone(width=1.0, variant="keras", *, output_stride=32):
    pictures = keras.Input((None, None, 3))
    x, make = Normalise("keras_tf")(pictures), LayerMaker(0, 0.9997, EPSILON)
    return keras.Model(pictures, mobilenet_v2(x, make, width=width, variant=variant, output_stride=output_stride))


def application(width, size, weights=None):
    whole = keras.applications.MobileNetV2(alpha=width, weights=weights, include_top=False, input_shape=(*size, 3))
    return keras.Model(whole.input, whole.get_layer(LAST).output)


# ---- keras.applications


# Each width with an even and an odd extent: the strided layers pad them differently.
@pytest.mark.parametrize(("width", "size"), [(1.0, (64, 97)), (0.5, (65, 96))])
def test_features_equal_those_of_keras_applications_with_the_same_weights(width, size):
    reference, model = randomise(application(width, size)), backbone(width)
    weighted = [layer for layer in model.layers if layer.weights]
    assert {layer.name for layer in reference.layers if layer.weights} == {layer.name for layer in weighted}
    for layer in weighted:
        layer.set_weights(reference.get_layer(layer.name).get_weights())
    expected = reference(keras.applications.mobilenet_v2.preprocess_input(picture(*size))).numpy()
    assert expected.std() > 0.1
    features = model(picture(*size))["features"]
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="SEGREPRO_REAL_WEIGHTS names no folder with MobileNetV2's weights")
@pytest.mark.parametrize("size", [(129, 97), (224, 224)])
def test_features_equal_those_of_keras_applications_with_the_published_weights(size):
    network = built({**KERAS, "output_stride": 32}, 21)
    assert len(load_backbone_weights(network, PUBLISHED, "mobilenet_v2")) == 255
    model = keras.Model(network.input, network.get_layer(LAST).output)
    expected = application(1.0, size, PUBLISHED)(keras.applications.mobilenet_v2.preprocess_input(picture(*size)))
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(model(picture(*size)), expected, rtol=0, atol=tolerance)


def test_backbone_weights_load_from_every_format_and_no_other_width(tmp_path):
    source = randomise(keras.applications.MobileNetV2(alpha=0.35, weights=None, include_top=False, input_shape=SIZE))
    network = built_of_zeros({**KERAS, "width": 0.35}, 3)
    zeros = network.get_weights()
    for suffix in (".keras", ".weights.h5", ".h5"):
        path = tmp_path / f"mobile{suffix}"
        source.save_weights(path) if suffix == ".weights.h5" else source.save(path)
        network.set_weights(zeros)
        assert len(load_backbone_weights(network, path, "mobilenet_v2")) == len(source.weights) - 5  # without Conv_1
        for layer in source.layers:
            if layer.weights and not layer.name.startswith("Conv_1"):
                held = network.get_layer(layer.name).get_weights()
                for mine, its in zip(held, layer.get_weights(), strict=True):
                    np.testing.assert_array_equal(mine, its)
    other = built_of_zeros({**KERAS, "width": 0.5}, 3)
    with pytest.raises(UserError, match=r"it lacks .*; give the weights file of .* MobileNetV2 of the same width") as e:
        load_backbone_weights(other, path, "mobilenet_v2")
    assert_one_sentence(e)


# ---- the release


@functools.cache
def released(width):
    """The network of the release; zeros for weights."""
    return built_of_zeros({**MOBILENET, "width": width}, 21)


def test_the_released_network_of_width_half_computes_what_numpy_does(tmp_path):
    size = (64, 81)  # an even and an odd extent
    variables = slim_reference.Variables(2.0)
    expected = slim_reference.deeplabv3_mobilenet_v2(variables, picture(*size)[0], width=0.5)
    _, low_level = slim_reference.mobilenet_v2(variables, picture(*size)[0], width=0.5)
    prefix = save_tf1(tmp_path / "model.ckpt-1", variables.values)
    network, model = {**MOBILENET, "width": 0.5}, released(0.5)
    load_weights(model, described(network), prefix, file_format="tf1_deeplabv3_mobilenet_v2")
    assert expected.std(axis=(0, 1)).mean() > 0.05
    np.testing.assert_allclose(model(picture(*size))[0], expected, rtol=0, atol=1e-4)
    taps = keras.Model(model.input, model.get_layer("block_2_depthwise_relu").output)
    np.testing.assert_allclose(taps(picture(*size))[0], low_level, rtol=0, atol=1e-4)
    with pytest.raises(UserError, match=r"of another shape is MobilenetV2/.*; take the file of this network") as error:
        load_weights(released(1.0), described(MOBILENET), prefix, file_format="tf1_deeplabv3_mobilenet_v2")
    assert_one_sentence(error)


@pytest.mark.parametrize(
    ("width", "parameters", "billions"),
    [(1.0, 2_146_645, 2.75), (0.5, 714_325, 0.88)],  # multiply-adds: model_zoo.md of the release, within 2 %
)
def test_parameters_and_multiply_adds_of_the_released_networks(width, parameters, billions):
    model = released(width)
    assert model.count_params() == parameters
    assert multiply_adds(model, 513, 513) / 1e9 == pytest.approx(billions, rel=0.02)


def test_variants_round_channels_differently():
    assert released(0.5).get_layer("block_1_project").filters == 12  # 24 x 0.5
    assert backbone(0.5, "keras").get_layer("block_1_project").filters == 16


# ---- strides and rates


@pytest.mark.parametrize(
    ("output_stride", "strided", "rates"),
    [(32, [1, 3, 6, 13], (1, 1, 1)), (16, [1, 3, 6], (1, 1, 2)), (8, [1, 3], (1, 2, 4))],
)
def test_strides_become_rates_behind_them(output_stride, strided, rates):
    model = backbone(0.35, output_stride=output_stride)
    layers = {n: model.get_layer(f"block_{n}_depthwise") for n in range(1, 17)}
    assert [n for n, layer in layers.items() if layer.strides == (2, 2)] == strided
    assert tuple(layers[n].dilation_rate[0] for n in (6, 13, 14)) == rates
    assert layers[16].dilation_rate == layers[14].dilation_rate


@pytest.mark.parametrize(
    ("architecture", "rates", "output_stride"),
    [
        ("deeplabv3", [], 8),
        ("deeplabv3", [6, 12, 18], 32),
        ("deeplabv3plus", [], 32),
        ("deeplabv3plus", [6, 12, 18], 16),
    ],
)
def test_any_size_gives_logits_at_the_native_stride(architecture, rates, output_stride):
    keys = {"architecture": architecture, "backbone": "mobilenet_v2", "multi_grid": [1, 1, 1], "width": 0.35}
    model = built_of_zeros(keys | {"aspp_rates": rates, "aspp_channels": 8, "output_stride": output_stride}, 4)
    stride = 4 if architecture == "deeplabv3plus" else output_stride
    for size in ((65, 97), (64, 50)):
        expected = (1, *(-(-extent // stride) for extent in size), 4)
        assert tuple(model(picture(*size)).shape) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "slim"}, "variant: of mobilenet_v2 there is no 'slim'; use keras or released"),
        ({"multi_grid": [1, 2, 4]}, r"multi_grid: has no meaning for mobilenet_v2; write \[1, 1, 1\]"),
        ({"features": "raw_sum"}, "features: has no meaning for mobilenet_v2"),
        ({"backbone": "xception_65", "width": 0.5}, "width: has no meaning for xception_65; remove it"),
    ],
)
def test_settings_without_meaning_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        described({**MOBILENET, **change})
