import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy_layers import batch_norm, convolution, picture, randomise, relu

from networks import built, built_of_zeros, micro_backbones, spec_of
from segrepro.models.deconvnet import deconvolution_channels
from segrepro.models.model_files import load_model, save_model
from segrepro.models.vgg16 import VGG16_SHAPES, VGGShape
from segrepro.training.optimiser import build_optimiser
from segrepro.training.step import compile_steps
from training_setup import PROTOCOL

ROOT = Path(__file__).resolve().parents[2]
TINY = {"architecture": "deconvnet", "backbone": "vgg_tiny", "input_size": 64, "fc_channels": 24}
BATCH_NORM = {"batch_norm_epsilon": 1e-5}

# The published network (paper, table 2, and the released definition): name, kernel, side of the output for a crop of
# 224 x 224, channels, parameters = kernel x kernel x channels in x channels out + channels out.
PUBLISHED = """
block1_conv1 3 224 64 1792
block1_conv2 3 224 64 36928
block1_pool 2 112 64 0
block2_conv1 3 112 128 73856
block2_conv2 3 112 128 147584
block2_pool 2 56 128 0
block3_conv1 3 56 256 295168
block3_conv2 3 56 256 590080
block3_conv3 3 56 256 590080
block3_pool 2 28 256 0
block4_conv1 3 28 512 1180160
block4_conv2 3 28 512 2359808
block4_conv3 3 28 512 2359808
block4_pool 2 14 512 0
block5_conv1 3 14 512 2359808
block5_conv2 3 14 512 2359808
block5_conv3 3 14 512 2359808
block5_pool 2 7 512 0
fc6 7 1 4096 102764544
fc7 1 1 4096 16781312
deconv_fc6 7 7 512 102760960
unpool5 2 14 512 0
deconv5_1 3 14 512 2359808
deconv5_2 3 14 512 2359808
deconv5_3 3 14 512 2359808
unpool4 2 28 512 0
deconv4_1 3 28 512 2359808
deconv4_2 3 28 512 2359808
deconv4_3 3 28 256 1179904
unpool3 2 56 256 0
deconv3_1 3 56 256 590080
deconv3_2 3 56 256 590080
deconv3_3 3 56 128 295040
unpool2 2 112 128 0
deconv2_1 3 112 128 147584
deconv2_2 3 112 64 73792
unpool1 2 224 64 0
deconv1_1 3 224 64 36928
deconv1_2 3 224 64 36928
logits_conv 1 224 21 1365
"""


# ---- the published network


@pytest.fixture(scope="module")
def published():
    """The full-size network; its billion bytes of weights are zeros, since only shapes matter."""
    return built_of_zeros({"architecture": "deconvnet"}, 21)


@pytest.fixture(scope="module")
def layer_table():
    spec = importlib.util.spec_from_file_location("layer_table", ROOT / "benchmarks/layer_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_layers_shapes_and_parameters_are_the_published(published, layer_table):
    expected = []
    for line in PUBLISHED.split("\n")[1:-1]:
        name, kernel, side, channels, parameters = line.split()
        norm = 4 * int(channels) if int(parameters) and name != "logits_conv" else 0
        shape = f"{side} x {side} x {channels}"
        expected.append((name, f"{kernel} x {kernel}", shape, int(parameters), norm))
    assert layer_table.layer_rows(published, 224, 224) == expected
    assert published.count_params() == 251_772_245 + 66_816
    assert sum(row[4] > 0 for row in expected) == 29


def test_every_layer_but_the_classifier_has_batch_norm_and_relu(published):
    names = [layer.name for layer in published.layers]
    convolutions = [
        layer.name
        for layer in published.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose))
    ]
    assert len(convolutions) == 30
    for name in convolutions[:-1]:
        start = names.index(name)
        assert names[start : start + 3] == [name, f"{name}_bn", f"{name}_relu"]
    assert names[-1] == convolutions[-1] == "logits_conv"
    assert not [name for name in names if "dropout" in name]


def test_the_table_of_the_docs_is_that_of_the_network(published, layer_table):
    table = "\n".join(layer_table.layer_table(published, 224, 224))
    assert table in (ROOT / "docs/deconvnet.md").read_text()


# ---- numbers


def transposed(x, kernel, bias, *, grow):
    """Every value lays its kernel, (rows, columns, out, in), down around itself; without ``grow`` edges are cut off."""
    height, width, _ = x.shape
    side = kernel.shape[0]
    result = np.zeros((height + side - 1, width + side - 1, kernel.shape[2]))
    for row, column in np.ndindex(height, width):
        result[row : row + side, column : column + side] += kernel @ x[row, column]
    reach = 0 if grow else side // 2
    return result[reach : reach + height, reach : reach + width] + bias if reach else result + bias


def valid_convolution(x, kernel, bias):
    side = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
    return np.einsum("rcisq,sqio->rco", windows, kernel) + bias


def windows_of(x):
    height, width, channels = x.shape
    return x.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 4, 1, 3).reshape(-1, 4)


def unpooled(x, features):
    flat = np.zeros_like(windows_of(features))
    flat[np.arange(len(flat)), windows_of(features).argmax(axis=1)] = x.ravel()
    return flat.reshape(*x.shape, 2, 2).transpose(0, 3, 1, 4, 2).reshape(features.shape)


def reference(model, pictures, shape):
    """The network in numpy, one picture (height, width, 3)."""

    def finished(x, name):
        layer = model.get_layer(f"{name}_bn")
        return relu(batch_norm(x, [value.numpy() for value in layer.weights], layer.epsilon))

    def weights(name):
        return model.get_layer(name).get_weights()

    x = pictures[..., ::-1] - np.array([104.00699, 116.66877, 122.67892])
    features = {}
    for block, depth in enumerate(shape.depths, start=1):
        for number in range(1, depth + 1):
            name = f"block{block}_conv{number}"
            kernel, bias = weights(name)
            x = finished(convolution(x, kernel) + bias, name)
        features[block] = x
        height, width, channels = x.shape
        x = windows_of(x).max(axis=1).reshape(height // 2, width // 2, channels)
    for name in ("fc6", "fc7"):
        x = finished(valid_convolution(x, *weights(name)), name)
    x = finished(transposed(x, *weights("deconv_fc6"), grow=True), "deconv_fc6")
    for block in range(5, 0, -1):
        x = unpooled(x, features[block])
        for number in range(1, shape.depths[block - 1] + 1):
            name = f"deconv{block}_{number}"
            x = finished(transposed(x, *weights(name), grow=False), name)
    return valid_convolution(x, *weights("logits_conv"))


@pytest.fixture
def micro_backbone(monkeypatch):
    """Narrow, with blocks of different depths, so that the mirror is seen."""
    shape = VGGShape(depths=(1, 2, 1, 2, 1), channels=(3, 4, 5, 6, 7))
    monkeypatch.setitem(VGG16_SHAPES, "vgg_micro", shape)
    return shape


def balanced(model):
    """Random weights and statistics; deconvolutions sum over few of the unpooled values and get larger kernels."""
    randomise(model)
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            rows, columns, _, channels = layer.kernel.shape
            deviation = 2 / np.sqrt(rows * columns * channels)
            layer.kernel.assign(generator.normal(0, deviation, layer.kernel.shape).astype(np.float32))
    return model


@pytest.mark.parametrize(("input_size", "size"), [(64, (64, 64)), (64, (64, 96)), (32, (32, 32))])
def test_equals_an_independent_computation(micro_backbone, input_size, size):
    network = {**TINY, **BATCH_NORM, "backbone": "vgg_micro", "input_size": input_size, "fc_channels": 8}
    model = balanced(built(network, 4))
    x = picture(*size)
    expected = reference(model, x[0], micro_backbone)
    assert expected.shape == (*size, 4)
    assert expected.std() > 0.1
    np.testing.assert_allclose(model(x, training=False).numpy()[0], expected, rtol=1e-4, atol=1e-4 * expected.std())


# ---- the description


def test_the_deconvolutions_mirror_the_backbone():
    assert deconvolution_channels(VGG16_SHAPES["vgg16"]) == [
        *[(64, 64), (128, 64), (256, 256, 128), (512, 512, 256), (512, 512, 512)],
    ]
    assert deconvolution_channels(VGGShape((1, 2, 1), (3, 4, 5))) == [(3,), (4, 3), (4,)]


@pytest.fixture(scope="module")
def tiny():
    return built(TINY, 4)


def test_batch_norms_start_as_released(tiny):
    norms = [layer for layer in tiny.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 5 + 3 + 5
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(1e-9, 0.9)}
    for norm in norms:
        np.testing.assert_array_equal(norm.beta, np.float32(0.001))
        np.testing.assert_array_equal(norm.gamma, 1)


def test_deconvolutions_start_gaussian_with_zero_bias():
    model = built({**TINY, "fc_channels": 64}, 4)
    for name in ("deconv_fc6", "deconv5_1", "deconv3_1"):
        layer = model.get_layer(name)
        assert np.std(layer.kernel) == pytest.approx(0.01, rel=0.05)
        assert np.abs(layer.kernel).max() > 0.03  # not truncated at two deviations
        np.testing.assert_array_equal(layer.bias, 0)
    assert all(layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def test_the_seed_decides_the_weights(tiny):
    same, other = built(TINY, 4), built(TINY, 4, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(tiny.get_weights(), same.get_weights(), strict=True))
    for name in ("block1_conv1", "fc6", "fc7", "deconv_fc6", "deconv1_1", "logits_conv"):
        assert not np.array_equal(tiny.get_layer(name).kernel, other.get_layer(name).kernel)


@pytest.mark.parametrize(("batch", "size"), [(1, (64, 64)), (3, (64, 64)), (2, (96, 128))])
def test_logits_have_the_size_of_the_picture(tiny, batch, size):
    logits = tiny(np.zeros((batch, *size, 3), np.uint8))
    assert (logits.shape, logits.dtype) == ((batch, *size, 4), tf.float32)


@pytest.mark.parametrize("size", [(64, 80), (96, 65)])
def test_other_sizes_than_multiples_of_32_are_refused(tiny, size):
    with pytest.raises(ValueError, match="multiples of 32"):
        tiny(np.zeros((1, *size, 3), np.uint8))


def test_saved_and_loaded_it_gives_the_same(tiny, tmp_path):
    x = picture(64, 64)
    save_model(tiny, tmp_path / "model.keras", spec_of({}))
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras")(x), tiny(x))


# ---- training


CAFFE = PROTOCOL | {
    **{"momentum_form": "caffe", "weight_decay": 5e-4, "weight_decay_on": "kernels", "bias_rate_factor": 2.0}
}


def steps_of(model, protocol, rate=0.01):
    optimiser = build_optimiser(protocol, rate, model)
    optimiser.build(model.trainable_variables)
    return compile_steps(model, optimiser, protocol, "half_pixel", tf.distribute.get_strategy())


def half_and_half(side=32):
    """Pictures whose left part is dark and of class 1, and whose right part is bright and of class 2."""
    x, labels = np.full((2, side, side, 3), 60, np.float32), np.ones((2, side, side), np.uint8)
    for number, edge in enumerate((side // 3, 2 * side // 3)):
        x[number, :, edge:], labels[number, :, edge:] = 200, 2
    return tf.constant(x + picture(side, side)[0] / 10), tf.constant(labels)


@pytest.fixture(scope="module")
def micro():
    """The least network with all kinds of layers, for crops of 32 pixels: it compiles fast."""
    with micro_backbones():
        yield {"architecture": "deconvnet", "backbone": "vgg_micro", "input_size": 32, "fc_channels": 8}


def test_learns_two_pictures():
    model = built({**TINY, "input_size": 32, "fc_channels": 16}, 3)
    steps, batch = steps_of(model, CAFFE, rate=0.05), half_and_half()
    shares = []
    for _ in range(25):
        gradients, (_, correct, valid) = steps.gradients(*batch)
        steps.apply(gradients)
        shares.append(float(correct / valid))
    assert shares[0] < 0.7
    assert shares[-1] > 0.95


def test_every_variable_gets_a_gradient(micro):
    model = built(micro, 3)
    gradients, _ = steps_of(model, CAFFE).gradients(*half_and_half())
    for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
        assert gradient is not None, variable.path
        # a bias before a batch norm is without effect: its gradient is rounding error
        assert "bias" in variable.path or np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_step_in_mixed_precision_stays_finite(micro, precision):
    keras.config.set_dtype_policy(precision)
    try:
        model = built(micro, 3)
        steps = steps_of(model, CAFFE | {"precision": precision})
        gradients, sums = steps.gradients(*half_and_half())
        steps.apply(gradients)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(sums).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    for variable in model.variables:
        assert np.isfinite(variable).all(), variable.path
    logits = model(half_and_half()[0])
    assert logits.dtype == tf.float32
    assert np.isfinite(logits).all()


def test_its_gradient_compiles_under_xla(micro):
    model = balanced(built(micro, 3))
    x, _ = half_and_half()

    @tf.function(jit_compile=True)
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(x, training=False) ** 2)
        return tape.gradient(loss, model.get_layer("fc6").kernel.value)

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=False) ** 2)
    expected = tape.gradient(loss, model.get_layer("fc6").kernel.value)
    np.testing.assert_allclose(gradient(), expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())
