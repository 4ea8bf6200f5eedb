"""ResNet-v1: parity with keras.applications, output strides, its weights files, DeepLabv3 on it."""

import keras
import numpy as np
import pytest
from keras.src.applications import resnet
from numpy_layers import batch_norm, convolution, picture, randomise, relu

from networks import built, built_of_zeros
from segrepro.errors import UserError
from segrepro.models.blocks import LayerMaker
from segrepro.models.layers import Normalise
from segrepro.models.resnet_v1 import RESNET_V1, resnet_v1
from segrepro.models.resnet_v2 import RESNET_V2, ResNetShape, plan_units
from segrepro.models.weights import APPLICATIONS, load_backbone_weights

PLAIN = (1, 1, 1)
EPSILON = 1.001e-5


def backbone(name, *, output_stride=32, multi_grid=PLAIN, taps=False):
    pictures = keras.Input((None, None, 3))
    outputs = resnet_v1(
        Normalise("caffe")(pictures),
        LayerMaker(0, 0.9997, EPSILON),
        shape=RESNET_V1[name],
        output_stride=output_stride,
        multi_grid=multi_grid,
    )
    return keras.Model(pictures, outputs if taps else outputs["features"])


# ---- parity with keras.applications


@pytest.mark.parametrize("size", [(70, 49), (64, 96)])
def test_features_equal_those_of_keras_applications_with_the_same_weights(size):
    reference = randomise(keras.applications.ResNet101(weights=None, include_top=False, input_shape=(None, None, 3)))
    model = backbone("resnet_v1_101")
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(reference.get_layer(layer.name).get_weights())
    assert {layer.name for layer in reference.layers if layer.weights} == {
        layer.name for layer in model.layers if layer.weights
    }
    expected = reference(keras.applications.resnet.preprocess_input(picture(*size))).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(model(picture(*size)), expected, rtol=1e-5, atol=1e-4 * np.abs(expected).max())


# ---- strides and rates


@pytest.mark.parametrize(
    ("output_stride", "multi_grid", "strided", "block3_rates", "block4_rates"),
    [
        (32, PLAIN, ["conv3_block1", "conv4_block1", "conv5_block1"], {1}, [1, 1, 1]),
        (16, PLAIN, ["conv3_block1", "conv4_block1"], {1}, [2, 2, 2]),
        (16, (1, 2, 4), ["conv3_block1", "conv4_block1"], {1}, [2, 4, 8]),
        (8, (1, 2, 4), ["conv3_block1"], {2}, [4, 8, 16]),
    ],
)
def test_strides_become_rates(output_stride, multi_grid, strided, block3_rates, block4_rates):
    options = {"output_stride": output_stride, "multi_grid": multi_grid, "strided": "first"}
    plan = list(plan_units(RESNET_V1["resnet_v1_101"], **options))
    assert len(plan) == 33
    assert [unit.name for unit in plan if unit.stride == 2] == strided
    assert {unit.rate for unit in plan if unit.name.startswith("conv4")} == block3_rates
    assert [unit.rate for unit in plan if unit.name.startswith("conv5")] == block4_rates
    assert {unit.rate for unit in plan if unit.name.startswith(("conv2", "conv3"))} == {1}


@pytest.mark.parametrize("size", [(97, 50), (64, 72)])
def test_a_dilated_network_agrees_with_the_strided_one_where_both_have_features(size):
    strided = randomise(backbone("resnet_v1_tiny"))
    expected = strided(picture(*size)).numpy()
    assert expected.std() > 0.1
    for output_stride in (16, 8):
        dilated = backbone("resnet_v1_tiny", output_stride=output_stride)
        dilated.set_weights(strided.get_weights())
        every = 32 // output_stride
        features = dilated(picture(*size)).numpy()
        assert features.shape[1:3] == tuple(-(-extent // output_stride) for extent in size)
        tolerance = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(features[:, ::every, ::every], expected, rtol=0, atol=tolerance)


# ---- units by an independent forward pass


def numpy_unit(model, x, name, *, stride, rate):
    def weights(part):
        return model.get_layer(f"{name}_{part}").get_weights()

    def part(y, number, **options):
        kernel, bias = weights(f"{number}_conv")
        return batch_norm(convolution(y, kernel, **options) + bias, weights(f"{number}_bn"), EPSILON)

    y = relu(part(x, 1, stride=stride))
    y = relu(part(y, 2, rate=rate))
    y = part(y, 3)
    has_shortcut = any(layer.name == f"{name}_0_conv" for layer in model.layers)
    return relu(y + (part(x, 0, stride=stride) if has_shortcut else x))


def test_units_agree_with_numpy():
    model = randomise(backbone("resnet_v1_tiny", output_stride=16, multi_grid=(1, 2, 4), taps=True))
    taps = {name: value[0].numpy() for name, value in model(picture(66, 40)).items()}
    cases = [
        ("conv2_block2_out", "conv3_block1", 2, 1),  # strided, with shortcut convolution, odd and even extents
        ("conv4_block2_out", "conv5_block1", 1, 2),  # no stride any more
        ("conv5_block2_out", "conv5_block3", 1, 8),  # multi-grid
    ]
    for source, name, stride, rate in cases:
        expected = numpy_unit(model, taps[source], name, stride=stride, rate=rate)
        np.testing.assert_allclose(taps[f"{name}_out"], expected, rtol=0, atol=1e-5 * expected.max())
    np.testing.assert_array_equal(taps["features"], taps["conv5_block3_out"])
    np.testing.assert_array_equal(taps["low_level"], taps["conv2_block2_out"])


# ---- weights of keras.applications


SMALL = ResNetShape(units=(2, 2, 3, 2), widths=(4, 4, 8, 8))


def small_application(weights=None, include_top=False, version=1):
    """What keras.applications would build for ``SMALL``, by its own code."""
    stack = resnet.stack_residual_blocks_v1 if version == 1 else resnet.stack_residual_blocks_v2

    def blocks(x):
        for block, (units, width) in enumerate(zip(SMALL.units, SMALL.widths, strict=True), start=2):
            strided = block > 2 if version == 1 else block < 5
            x = stack(x, width, units, stride1=2 if strided else 1, name=f"conv{block}")
        return x

    return resnet.ResNet(blocks, version == 2, True, weights=weights, include_top=include_top, name="small")


@pytest.fixture(autouse=True, scope="module")
def small_backbones():
    """Networks of a few hundred kilobytes, v1 and v2, with the same units in their blocks."""
    RESNET_V1["resnet_v1_small"] = RESNET_V2["resnet_v2_small"] = SMALL
    APPLICATIONS["resnet_v1_small"] = small_application
    yield
    del RESNET_V1["resnet_v1_small"], RESNET_V2["resnet_v2_small"], APPLICATIONS["resnet_v1_small"]


def small_network(version):
    network = {"backbone": f"resnet_v{version}_small", "multi_grid": [1, 1], "aspp_channels": 8, "aspp_rates": [2]}
    return built(network, 3)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_backbone_weights_load_from_every_format(tmp_path, suffix):
    application, network = randomise(small_application(), seed=7), small_network(1)
    path = tmp_path / f"small{suffix}"
    if suffix == ".weights.h5":
        application.save_weights(path)
    else:
        application.save(path)
    assert len(load_backbone_weights(network, path, "resnet_v1_small")) == len(application.weights)
    for layer in (layer for layer in application.layers if layer.weights):
        for given, held in zip(layer.get_weights(), network.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(held, given)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize(("given", "wanted"), [(2, 1), (1, 2)])
def test_weights_of_the_other_version_are_refused(tmp_path, suffix, given, wanted):
    path = tmp_path / f"other{suffix}"
    application = small_application(version=given)
    application.save(path) if suffix == ".keras" else application.save_weights(path)
    network = small_network(wanted)
    before = network.get_weights()
    with pytest.raises(UserError, match=r"other.*(it lacks|holds no weights)") as caught:
        load_backbone_weights(network, path, f"resnet_v{wanted}_small")
    assert "\n" not in str(caught.value)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_network_without_a_resnet_refuses_them(tmp_path, suffix):
    path = tmp_path / f"resnet{suffix}"
    application = small_application()
    application.save(path) if suffix == ".keras" else application.save_weights(path)
    network = built({"backbone": "xception_tiny", "aspp_channels": 8, "aspp_rates": [1]}, 3)
    with pytest.raises(UserError, match=r"resnet.*(another network than|no weights of) deeplabv3_xception_tiny"):
        load_backbone_weights(network, path, "xception_tiny")


# ---- DeepLabv3 on it


def test_the_papers_network_is_told_by_its_backbone():
    model = built_of_zeros({"backbone": "resnet_v1_101", "output_stride": 8}, 21)
    rates = [model.get_layer(f"conv5_block{n}_2_conv").dilation_rate[0] for n in (1, 2, 3)]
    assert rates == [4, 8, 16]
    assert [model.get_layer(f"aspp{n}_conv").dilation_rate[0] for n in (1, 2, 3)] == [12, 24, 36]
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {norm.epsilon for norm in norms if norm.name.startswith("conv") and "concat" not in norm.name} >= {EPSILON}
    assert model.get_layer("aspp0_bn").epsilon == 1e-5
    # ResNet-101's 42,658,176 with their biases and statistics, and ASPP and classifier of 21 classes
    head = 2048 * 256 * 2 + 3 * 9 * 2048 * 256 + 1280 * 256 + 6 * 4 * 256 + 256 * 21 + 21
    assert model.count_params() == 42_658_176 + head


def test_any_size_gives_logits_at_the_native_stride():
    network = {"backbone": "resnet_v1_tiny", "aspp_channels": 8, "aspp_rates": [1]}
    for output_stride in (8, 16, 32):
        model = built({**network, "output_stride": output_stride}, 4)
        for size in ((65, 97), (64, 50)):
            expected = (1, *(-(-extent // output_stride) for extent in size), 4)
            assert tuple(model(picture(*size)).shape) == expected
