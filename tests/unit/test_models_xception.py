"""Xception-65 as the page of facts on the released graph states it."""

import collections
import csv
import dataclasses
import math
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy_layers import batch_norm, depthwise, picture, randomise, relu

from networks import built
from segrepro.models.blocks import LayerMaker
from segrepro.models.xception import LOW_LEVEL, XCEPTION, ModulePlan, plan_modules, xception, xception_module

FACTS = os.environ.get("SEGREPRO_CHECKPOINT_FACTS")
EPSILON = 1e-3
PLAIN = (1, 1, 1)


# ---- strides and rates


@pytest.mark.parametrize(
    ("output_stride", "strided", "middle", "exit1", "exit2"),
    [
        (32, ["entry_flow.block1", "entry_flow.block2", "entry_flow.block3", "exit_flow.block1"], 1, 1, 1),
        (16, ["entry_flow.block1", "entry_flow.block2", "entry_flow.block3"], 1, 1, 2),
        (8, ["entry_flow.block1", "entry_flow.block2"], 2, 2, 4),
    ],
)
def test_strides_become_rates(output_stride, strided, middle, exit1, exit2):
    plan = list(plan_modules(XCEPTION["xception_65"], output_stride=output_stride))
    assert len(plan) == 3 + 16 + 2
    assert [m.scope.removesuffix(".unit_1.xception_module") for m in plan if m.stride == 2] == strided
    assert {m.rates for m in plan if m.scope.startswith("entry")} == {(1, 1, 1)}
    assert {m.rates for m in plan if m.scope.startswith("middle")} == {(middle,) * 3}
    assert [m.rates for m in plan if m.scope.startswith("exit")] == [(exit1,) * 3, (exit2,) * 3]


def test_multi_grid_multiplies_the_rates_of_the_last_module():
    *others, last = plan_modules(XCEPTION["xception_65"], output_stride=16, multi_grid=(1, 2, 4))
    assert last.rates == (2, 4, 8)
    assert {m.rates for m in others} == {(1, 1, 1)}


def test_shortcuts_and_relus_of_the_modules():
    plan = list(plan_modules(XCEPTION["xception_65"], output_stride=16))
    assert [m.shortcut for m in plan] == ["conv"] * 3 + ["sum"] * 16 + ["conv", "none"]
    assert [m.relu_within for m in plan] == [False] * 20 + [True]


# ---- a module by an independent forward pass


def numpy_module(model, x, plan):
    """One module: its output, and the batch-normed output of its second pointwise convolution."""

    def weights(part):
        return model.get_layer(f"{plan.scope}.{part}").get_weights()

    def after(y, part):
        y = batch_norm(y, weights(f"{part}_bn"), EPSILON)
        return relu(y) if plan.relu_within else y

    y, second = x, None
    for number, rate in zip((1, 2, 3), plan.rates, strict=True):
        part = f"separable_conv{number}"
        y = y if plan.relu_within else relu(y)
        stride = plan.stride if number == 3 else 1
        y = after(depthwise(y, weights(f"{part}_depthwise_conv")[0], stride=stride, rate=rate), f"{part}_depthwise")
        y = after(y @ weights(f"{part}_pointwise_conv")[0][0, 0], f"{part}_pointwise")
        second = y if number == 2 else second
    if plan.shortcut == "conv":
        strided = x[:: plan.stride, :: plan.stride]
        x = batch_norm(strided @ weights("shortcut_conv")[0][0, 0], weights("shortcut_bn"), EPSILON)
    return (y if plan.shortcut == "none" else y + x), second


@pytest.mark.parametrize("size", [(13, 9), (12, 8), (12, 9)])
@pytest.mark.parametrize(
    ("shortcut", "stride", "rates"),
    [
        ("conv", 2, (1, 1, 1)),  # entry flow
        ("sum", 1, (2, 2, 2)),  # middle flow at output stride 8
        ("conv", 1, (2, 2, 2)),  # first exit block at output stride 8
        ("none", 1, (2, 4, 8)),  # last module, with multi-grid
    ],
)
def test_a_module_agrees_with_numpy(size, shortcut, stride, rates):
    depths = (5, 5, 5) if shortcut == "sum" else (6, 4, 7)
    plan = ModulePlan("m", depths, shortcut, stride, rates, relu_within=shortcut == "none")
    inputs = keras.Input((None, None, 5))
    output, convolved = xception_module(inputs, LayerMaker(0, 0.9, EPSILON), plan)
    model = randomise(keras.Model(inputs, [output, convolved[1]]))
    x = np.random.default_rng(1).normal(size=(*size, 5)).astype(np.float32)
    for given, expected in zip(model(x[None]), numpy_module(model, x, plan), strict=True):
        assert expected.std() > 0.1
        np.testing.assert_allclose(given[0], expected, rtol=0, atol=1e-4)


# ---- the network


def backbone(name="xception_tiny", *, output_stride=32, multi_grid=PLAIN):
    pictures = keras.Input((None, None, 3))
    make = LayerMaker(0, 0.9997, EPSILON)
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(pictures)
    taps = xception(x, make, shape=XCEPTION[name], output_stride=output_stride, multi_grid=multi_grid)
    return keras.Model(pictures, taps)


@pytest.mark.parametrize("size", [(97, 50), (64, 72)])
def test_a_dilated_network_agrees_with_the_strided_one_where_both_have_features(size):
    strided = randomise(backbone())
    expected = strided(picture(*size))["features"].numpy()
    assert expected.std() > 0.1
    for output_stride in (16, 8):
        dilated = backbone(output_stride=output_stride)
        dilated.set_weights(strided.get_weights())
        every = 32 // output_stride
        features = dilated(picture(*size))["features"].numpy()
        assert features.shape[1:3] == tuple(-(-extent // output_stride) for extent in size)
        np.testing.assert_allclose(features[:, ::every, ::every], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(33, 41), (32, 44)])
def test_low_level_features_are_the_second_blocks_before_any_relu(size):
    model = randomise(backbone(output_stride=16))
    taps = {name: value[0].numpy() for name, value in model(picture(*size)).items()}
    second_block = list(plan_modules(XCEPTION["xception_tiny"], output_stride=16))[1]
    output, low_level = numpy_module(model, taps["entry_flow.block1.unit_1.xception_module"], second_block)
    np.testing.assert_allclose(taps["low_level"], low_level, rtol=0, atol=1e-4)
    np.testing.assert_allclose(taps["entry_flow.block2.unit_1.xception_module"], output, rtol=0, atol=1e-4)
    assert taps["low_level"].shape[:2] == tuple(-(-extent // 4) for extent in size)
    assert taps["low_level"].min() < 0


def test_the_root_is_centred_whatever_the_size():
    """Extents of 8 k + 1 and 8 k + 2: the strided layers look at the same pixels, so the first features agree."""
    model = randomise(backbone(output_stride=8))
    x = picture(66, 66)
    features = [model(x[:, :extent, :extent])["entry_flow.block1.unit_1.xception_module"] for extent in (65, 66)]
    assert [tuple(f.shape[1:3]) for f in features] == [(17, 17), (17, 17)]
    np.testing.assert_allclose(features[0][:, :13, :13], features[1][:, :13, :13], rtol=0, atol=1e-4)


# ---- the released network


@pytest.fixture(scope="module")
def released():
    return built({"architecture": "deeplabv3plus", "backbone": "xception_65"}, 21)


def tf1_name(variable):
    """The release's name, from ours: dots are slashes, and endings change."""
    layer, name = variable.path.split("/")
    scope, _, kind = layer.rpartition("_")
    scope = scope.replace(".", "/")
    if scope.startswith(("entry_flow/", "middle_flow/", "exit_flow/")):
        scope = f"xception_65/{scope}"
    if scope == "logits":
        scope = "logits/semantic"
    if kind == "bn":
        return f"{scope}/BatchNorm/{name}"
    kernel = "depthwise_weights" if scope.endswith("_depthwise") else "weights"
    return f"{scope}/{'biases' if name == 'bias' else kernel}"


def test_the_released_network_has_the_parameters_of_its_checkpoint(released):
    sizes = [math.prod(weight.shape) for weight in released.trainable_weights]
    assert (len(released.weights), len(sizes)) == (732, 440)
    assert (sum(sizes), released.count_params()) == (41_055_413, 41_258_213)


def test_the_released_network_has_the_shapes_of_its_checkpoint(released):
    # counted in the list of the checkpoint's variables
    vectors = {32: 2, 48: 2, 64: 4, 128: 14, 256: 32, 304: 2, 728: 210, 1024: 10, 1536: 8, 2048: 8, 21: 1}
    statistics = {n: count for n, count in vectors.items() if n != 21}
    pointwise = {
        **{(64, 128): 2, (128, 128): 2, (128, 256): 2, (256, 256): 3, (256, 728): 2, (728, 728): 51},
        **{(728, 1024): 2, (1024, 1024): 1, (1024, 1536): 1, (1536, 1536): 1, (1536, 2048): 1},
        **{(2048, 256): 5, (1280, 256): 1, (256, 48): 1, (304, 256): 1, (256, 21): 1},
    }
    per_channel = {64: 1, 128: 3, 256: 4, 304: 1, 728: 52, 1024: 2, 1536: 2, 2048: 3}
    expected = {(n,): count for n, count in vectors.items()}
    expected |= {(1, 1, *shape): count for shape, count in pointwise.items()}
    expected |= {(3, 3, n, 1): count for n, count in per_channel.items()}
    expected |= {(3, 3, 3, 32): 1, (3, 3, 32, 64): 1}
    assert collections.Counter(tuple(w.shape) for w in released.trainable_weights) == expected
    assert collections.Counter(w.shape[0] for w in released.non_trainable_weights) == statistics


def test_names_follow_from_those_of_the_release(released):
    names = {tf1_name(weight): tuple(weight.shape) for weight in released.weights}
    assert len(names) == 732
    module = "xception_65/middle_flow/block1/unit_16/xception_module"
    assert names[f"{module}/separable_conv3_depthwise/depthwise_weights"] == (3, 3, 728, 1)
    assert names[f"{module}/separable_conv3_pointwise/BatchNorm/moving_mean"] == (728,)
    assert names["xception_65/entry_flow/conv1_1/weights"] == (3, 3, 3, 32)
    assert names["xception_65/exit_flow/block1/unit_1/xception_module/shortcut/weights"] == (1, 1, 728, 1024)
    assert names["decoder/feature_projection0/weights"] == (1, 1, 256, 48)
    assert names["decoder/decoder_conv0_depthwise/BatchNorm/gamma"] == (304,)
    assert names["logits/semantic/biases"] == (21,)


@pytest.mark.skipif(not FACTS, reason="SEGREPRO_CHECKPOINT_FACTS names no folder with the lists of variables")
def test_every_variable_is_in_the_list_of_the_release_and_none_is_left(released):
    with (Path(FACTS) / "names_xception_65_v3plus.tsv").open() as file:
        listed = {(row["name"], row["shape"], row["trainable"]) for row in csv.DictReader(file, delimiter="\t")}
    ours = {
        (tf1_name(weight), ",".join(map(str, weight.shape)), "yes" if weight.trainable else "no")
        for weight in released.weights
    }
    assert ours == listed


def test_batch_norm_settings_of_the_released_network(released):
    norms = [layer for layer in released.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {norm.momentum for norm in norms} == {0.9997}
    assert collections.Counter(norm.epsilon for norm in norms) == {1e-3: 132, 1e-5: 14}
    head = [norm.name for norm in norms if norm.epsilon == 1e-5]
    assert all(name.startswith(("aspp", "concat_projection", "image_pooling", "decoder.")) for name in head)


def test_rates_and_normalisation_of_the_released_network(released):
    last = "exit_flow.block2.unit_1.xception_module.separable_conv{}_depthwise_conv"
    assert [released.get_layer(last.format(n)).dilation_rate[0] for n in (1, 2, 3)] == [2, 2, 2]
    aspp = [released.get_layer(f"aspp{n}_depthwise_conv").dilation_rate[0] for n in (1, 2, 3)]
    assert aspp == [6, 12, 18]
    assert released.get_layer("normalise").mode == "keras_tf"
    assert released.get_layer(f"{LOW_LEVEL}_bn").output.shape[-1] == 256


def test_the_small_network_differs_by_its_table_alone():
    small, whole = XCEPTION["xception_tiny"], XCEPTION["xception_65"]
    plans = [list(plan_modules(shape, output_stride=16)) for shape in (small, whole)]
    kinds = [
        {(m.scope, m.shortcut, m.stride, m.rates) for m in plan if not m.scope.startswith("middle")} for plan in plans
    ]
    assert kinds[0] == kinds[1]
    assert dataclasses.asdict(small).keys() == dataclasses.asdict(whole).keys()
    assert backbone().count_params() < 300_000


def test_deeplabv3_takes_xception_too():
    model = built({"backbone": "xception_tiny", "aspp_channels": 8, "aspp_rates": [1]}, 3)
    assert model.output.shape[-1] == 3
    assert tuple(model(picture(65, 50)).shape) == (1, 5, 4, 3)
