import collections
import contextlib
import math
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import correlate

from networks import built, built_of_zeros, micro_backbones
from segrepro.config.networks import VARIANTS, DeepLab
from segrepro.models import mobilenet_v2, resnet_v1, resnet_v2, xception
from segrepro.models.blocks import LayerMaker
from segrepro.models.deeplabv3 import aspp

# Two logical devices for the test of MirroredStrategy; too late where another module has started TensorFlow.
with contextlib.suppress(RuntimeError):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )

TINY = {"backbone": "resnet_v2_tiny", "aspp_channels": 16, "aspp_rates": [1, 2, 3], "batch_norm_decay": 0.9}


def pictures(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


MICRO = {**TINY, "backbone": "resnet_v2_micro", "multi_grid": [1]}


@pytest.fixture(autouse=True, scope="module")
def micro_backbone():
    """A backbone of one unit per block, where only the code path matters."""
    with micro_backbones():
        yield


@pytest.fixture(scope="module")
def tiny():
    return built(TINY, 4)


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def mixed_precision(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


# ---- the report's network


@pytest.fixture(scope="module")
def report_network():
    return built_of_zeros({"architecture": "deeplabv3", "backbone": "resnet_v2_101", "variant": "slim"}, 21)


def test_the_report_network_has_the_parameters_of_its_checkpoint(report_network):
    sizes = [math.prod(variable.shape) for variable in report_network.trainable_variables]
    assert (len(report_network.variables), len(sizes)) == (574, 362)
    assert (sum(sizes), report_network.count_params()) == (58_069_397, 58_170_133)


def test_the_report_network_has_the_shapes_of_its_checkpoint(report_network):
    # counted in the list of the checkpoint's variables
    vectors = {64: 15, 128: 16, 256: 114, 512: 25, 1024: 70, 2048: 10, 21: 1}
    statistics = {64: 14, 128: 16, 256: 110, 512: 20, 1024: 46, 2048: 6}
    pointwise = {
        **{(64, 64): 1, (64, 256): 4, (256, 64): 2, (256, 128): 1, (128, 512): 4, (512, 128): 3},
        **{(256, 512): 1, (512, 256): 1, (256, 1024): 23, (1024, 256): 22, (512, 1024): 1},
        **{(1024, 512): 1, (512, 2048): 3, (2048, 512): 2, (1024, 2048): 1},
        **{(2048, 256): 2, (1280, 256): 1, (256, 21): 1},
    }
    spatial = {(3, 3, 64, 64): 3, (3, 3, 128, 128): 4, (3, 3, 256, 256): 23, (3, 3, 512, 512): 3}
    expected = {(n,): count for n, count in vectors.items()}
    expected |= {(1, 1, *shape): count for shape, count in pointwise.items()}
    expected |= spatial | {(3, 3, 2048, 256): 3, (7, 7, 3, 64): 1}
    trainable = collections.Counter(tuple(v.shape) for v in report_network.trainable_variables)
    assert trainable == expected
    moving = collections.Counter(len(v.numpy()) for v in report_network.non_trainable_variables)
    assert moving == statistics


def test_batch_norm_settings_of_the_report_network(report_network):
    norms = [layer for layer in report_network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 106
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9997, 1e-5)}


def test_rates_of_the_report_network(report_network):
    rates = [report_network.get_layer(f"aspp{i}_conv").dilation_rate for i in (0, 1, 2, 3)]
    assert rates == [(1, 1), (6, 6), (12, 12), (18, 18)]
    rates = [report_network.get_layer(f"conv5_block{i}_2_conv").dilation_rate for i in (1, 2, 3)]
    assert rates == [(2, 2), (4, 4), (8, 8)]


# ---- what a description says reaches the network


def test_output_stride_8_doubles_the_rates():
    model = built({**TINY, "output_stride": 8}, 4)
    assert [model.get_layer(f"aspp{i}_conv").dilation_rate[0] for i in (1, 2, 3)] == [2, 4, 6]
    assert [model.get_layer(f"conv5_block{i}_2_conv").dilation_rate[0] for i in (1, 2, 3)] == [4, 8, 16]


def test_decay_and_epsilon_reach_every_batch_norm():
    model = built({**MICRO, "batch_norm_decay": 0.8, "batch_norm_epsilon": 1e-3}, 4)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.8, 1e-3)}


def test_variants_bring_their_own_epsilon_and_normalisation():
    model = built({**MICRO, "variant": "keras"}, 4)
    assert model.get_layer("conv2_block1_preact_bn").epsilon == 1.001e-5
    assert model.get_layer("aspp0_bn").epsilon == 1e-5
    named = built({**MICRO, "variant": "slim", "normalisation": "caffe"}, 4)
    assert named.get_layer("normalise").mode == "caffe"


def test_the_final_norm_matters_only_where_aspp_reads_it():
    x = pictures(1, 65, 65)
    for features, changes in (("raw_sum", False), ("post_norm", True)):
        model = built({**MICRO, "features": features}, 4)
        before = model(x).numpy()
        model.get_layer("post_bn").gamma.assign_add(np.full(32, 0.5, np.float32))
        assert bool(np.any(before != model(x).numpy())) is changes


def test_dropout_sits_before_the_classifier():
    model = built({**MICRO, "dropout": 0.1}, 4)
    assert model.get_layer("dropout").rate == 0.1
    x = pictures(1, 33, 33)
    np.testing.assert_array_equal(model(x), model(x))
    assert "dropout" not in {layer.name for layer in built(MICRO, 4).layers}


# ---- input and output


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(65, 97), (64, 50), (33, 1)])
def test_any_size_gives_logits_at_the_native_stride(output_stride, size):
    model = built({**MICRO, "output_stride": output_stride}, 4)
    logits = model(pictures(2, *size))
    assert logits.dtype == tf.float32
    assert tuple(logits.shape) == (2, *(-(-extent // output_stride) for extent in size), 4)


def test_uint8_and_float_pictures_give_the_same_logits(tiny):
    x = pictures(2, 49, 65)
    np.testing.assert_array_equal(tiny(x), tiny(x.astype(np.float32)))


def test_one_graph_takes_every_size(tiny):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def predict(x):
        return tiny(x, training=False)

    for size in ((65, 97), (50, 34)):
        x = pictures(1, *size)
        np.testing.assert_allclose(predict(x), tiny(x), rtol=1e-4, atol=1e-3)


# ---- ASPP by an independent forward pass


@pytest.mark.parametrize("size", [(9, 7), (8, 6)])
def test_aspp_agrees_with_numpy(size):
    generator = np.random.default_rng(0)
    inputs = keras.Input((None, None, 6))
    make = LayerMaker(0, 0.9, 1e-5)
    model = keras.Model(inputs, aspp(inputs, make, channels=4, rates=(2, 3, 5), resize="legacy"))
    for variable in model.variables:
        positive = variable.name in ("gamma", "moving_variance")
        draw = generator.uniform(0.5, 1.5, variable.shape) if positive else generator.normal(size=variable.shape)
        variable.assign(draw)
    x = generator.normal(size=(*size, 6)).astype(np.float32)

    def branch(y, prefix, rate=1):
        kernel = model.get_layer(f"{prefix}_conv").get_weights()[0]
        spread = np.zeros(((kernel.shape[0] - 1) * rate + 1,) * 2 + kernel.shape[2:])
        spread[::rate, ::rate] = kernel
        planes = [
            sum(correlate(y[..., i], spread[..., i, o], mode="constant") for i in range(y.shape[-1]))
            for o in range(kernel.shape[3])
        ]
        gamma, beta, mean, variance = model.get_layer(f"{prefix}_bn").get_weights()
        return np.maximum((np.stack(planes, -1) - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)

    branches = [branch(x, "aspp0")]
    branches += [branch(x, f"aspp{i}", rate) for i, rate in ((1, 2), (2, 3), (3, 5))]
    pooled = branch(x.mean(axis=(0, 1), keepdims=True), "image_pooling")
    branches.append(np.broadcast_to(pooled, (*size, 4)))
    expected = branch(np.concatenate(branches, -1), "concat_projection")
    assert expected.std() > 0
    np.testing.assert_allclose(model(x[None])[0], expected, atol=1e-4)


# ---- initial weights


def test_the_same_seed_gives_the_same_weights_whatever_was_built_before(tiny):
    keras.utils.set_random_seed(5)
    again = built(TINY, 4)
    for first, second in zip(tiny.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_kernels(tiny):
    other = built(TINY, 4, seed=1)
    kernels = [(a, b) for a, b in zip(tiny.weights, other.weights, strict=True) if a.name == "kernel"]
    assert kernels
    assert not any(np.array_equal(a, b) for a, b in kernels)


def test_weights_move_to_another_output_stride_by_position(tiny):
    for changes in ({"output_stride": 8}, {"variant": "keras"}, {"aspp_rates": [3, 4, 5], "output_stride": 32}):
        other = built({**TINY, **changes}, 4, seed=0)
        assert [v.path for v in other.weights] == [v.path for v in tiny.weights]
        for mine, its in zip(tiny.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, its)


# ---- saving, precision, devices


def test_a_saved_model_loads_without_custom_objects(tmp_path, tiny):
    tiny.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = pictures(1, 50, 65)
    np.testing.assert_array_equal(loaded(x), tiny(x))


def step(model, x, labels, optimizer):
    """One training step in a graph; returns the loss and the gradients."""
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss, gradients


def test_mixed_precision_gives_float32_logits_and_finite_gradients(tmp_path, mixed_precision):
    model = built(MICRO, 4)
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert model.get_layer("conv3_block1_2_conv").compute_dtype == mixed_precision.removeprefix("mixed_")
    labels = np.zeros((2, 3, 3), np.int32)
    _, gradients = step(model, pictures(2, 33, 33), labels, keras.optimizers.SGD(0.01))
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert model(pictures(1, 33, 33)).dtype == tf.float32
    model.save(tmp_path / "mixed.keras")
    loaded = keras.models.load_model(tmp_path / "mixed.keras")
    np.testing.assert_array_equal(loaded(pictures(1, 33, 33)), model(pictures(1, 33, 33)))


def test_training_learns_a_few_pictures_by_heart():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, (4, 3, 3)).astype(np.int32)
    colours = np.array([[30, 30, 30], [220, 40, 40], [40, 220, 40], [60, 60, 230]])
    x = colours[np.kron(labels, np.ones((1, 16, 16), int))] + generator.integers(-20, 20, (4, 48, 48, 3))
    model = built(MICRO, 4)
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
    optimizer.build(model.trainable_variables)
    train = tf.function(lambda: step(model, x.clip(0, 255).astype(np.float32), labels, optimizer)[0])
    losses = [float(train()) for _ in range(40)]
    assert losses[-1] < 0.25 * losses[0]


def test_mirrored_devices_train_to_the_same_weights():
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        model = built(MICRO, 4)
        optimizer = keras.optimizers.SGD(0.01)
        optimizer.build(model.trainable_variables)
    x, labels = pictures(2, 33, 33), np.ones((2, 3, 3), np.int32)
    losses = strategy.run(tf.function(lambda: step(model, x, labels, optimizer)[0]))
    values = [float(loss) for loss in strategy.experimental_local_results(losses)]
    assert len(values) == len(devices)
    assert len(set(values)) == 1
    kernel = model.get_layer("logits_conv").kernel
    copies = [value.numpy() for value in strategy.experimental_local_results(kernel.value)]
    assert all(np.array_equal(copies[0], copy) for copy in copies)
    assert not np.array_equal(copies[0], built(MICRO, 4).get_layer("logits_conv").kernel.numpy())


def test_the_config_offers_the_backbones_and_variants_that_can_be_built():
    offered = get_args(DeepLab.model_fields["backbone"].annotation)
    known = resnet_v2.RESNET_V2 | resnet_v1.RESNET_V1 | xception.XCEPTION
    shapes = {name: shape for name, shape in known.items() if not name.endswith("micro")}
    assert sorted(offered) == sorted([*shapes, "mobilenet_v2"])
    assert VARIANTS.keys() == {name.rpartition("_")[0] for name in offered}
    assert {family: len(variants) for family, variants in VARIANTS.items() if family != "resnet_v2"} == {
        "resnet_v1": 1,
        "xception": 1,
        "mobilenet": 2,
    }
    assert set(VARIANTS["mobilenet"]) == set(mobilenet_v2.INITIALIZERS)
    assert set(VARIANTS["resnet_v2"]) == set(resnet_v2.VARIANTS)
    assert {len(grid_of(shape)) for shape in shapes.values()} == {3}


def grid_of(shape):
    """What a factor of the multi-grid is for: the last block's units, or the last module's convolutions."""
    return shape.exit[-1] if hasattr(shape, "exit") else range(shape.units[-1])
