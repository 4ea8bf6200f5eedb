"""FCN: parity with a plain implementation of the release, places of the maps, skips, precision, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_layers import convolution, picture, randomise, relu

from networks import built, spec_of
from segrepro.models.layers import NORMALISATIONS
from segrepro.models.model_files import load_model, save_model, transfer_weights
from segrepro.models.upsampling import AlignedSum, BilinearKernel, BilinearUpsampling, CropLike
from segrepro.models.vgg16 import VGG16_SHAPES, VGGShape

SMALL = VGGShape(depths=(1, 2, 1, 1, 1), channels=(2, 3, 4, 5, 6))
CLASSES = 3


@pytest.fixture(autouse=True)
def small_backbone(monkeypatch):
    monkeypatch.setitem(VGG16_SHAPES, "vgg_small", SMALL)


@pytest.fixture
def mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def fcn(**network):
    network = {"architecture": "fcn", "backbone": "vgg_small", "fc_channels": 7, "skip_stride": 8, **network}
    return built(network, CLASSES)


def weighted(model):
    return {layer.name: layer for layer in model.layers if layer.weights}


def assert_finite_and_varied(logits):
    assert np.isfinite(logits).all()
    assert np.std(logits) > 1e-3


# ---- parity


def caffe_bilinear(side):
    """The filter as Caffe's BilinearFiller computes it, entry by entry."""
    f = np.ceil(side / 2)
    c = (side - 1) / (2 * f)
    return np.array([[(1 - abs(x / f - c)) * (1 - abs(y / f - c)) for x in range(side)] for y in range(side)])


def deconvolution(x, kernel, stride):
    """Paste every feature's kernel, (side, side, out, in), at its place and add."""
    side = kernel.shape[0]
    out = np.zeros(((x.shape[0] - 1) * stride + side, (x.shape[1] - 1) * stride + side, kernel.shape[2]))
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            place = np.s_[row * stride : row * stride + side, column * stride : column * stride + side]
            out[place] += kernel @ x[row, column]
    return out


def crop(x, offset, like):
    return x[offset : offset + like.shape[0], offset : offset + like.shape[1]]


class Release:
    """``voc-fcn8s`` and ``voc-fcn8s-atonce`` by the letter: paddings and crops are typed in."""

    def __init__(self, model, scales):
        self.model, self.scales = model, scales

    def convolve(self, x, name):
        kernel, bias = self.model.get_layer(name).get_weights()
        return convolution(x, kernel) + bias

    def upscore(self, x, name, side, stride):
        layer = self.model.get_layer(name)
        kernel = caffe_bilinear(side)[..., None, None] * np.eye(CLASSES)
        if layer.weights:
            assert layer.kernel.shape == kernel.shape
            kernel = layer.get_weights()[0]
        return deconvolution(x, kernel, stride)

    def logits(self, rgb):
        x = rgb[0, ..., ::-1] - np.array(NORMALISATIONS["caffe_ilsvrc"].mean)
        pools, data = {}, x
        x = np.pad(x, ((99, 99), (99, 99), (0, 0)))  # and 1 by the convolution: 100
        for block, depth in enumerate(SMALL.depths, start=1):
            for number in range(1, depth + 1):
                x = relu(self.convolve(x, f"block{block}_conv{number}"))
            x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)))  # not negative: 0 is never a maximum
            x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))
            pools[block] = x
        x = relu(self.convolve(x, "fc6")[3:-3, 3:-3])
        x = relu(self.convolve(x, "fc7"))
        up = self.upscore(self.convolve(x, "score_fr"), "upscore2", 4, 2)
        score = self.convolve(pools[4] * self.scales[0], "score_pool4")
        up = self.upscore(up + crop(score, 5, up), "upscore_pool4", 4, 2)
        score = self.convolve(pools[3] * self.scales[1], "score_pool3")
        return crop(self.upscore(up + crop(score, 9, up), "upscore8", 16, 8), 31, data)


@pytest.mark.parametrize("size", [(37, 50), (65, 33), (1, 2)])
@pytest.mark.parametrize(("upsampling", "at_once"), [("bilinear", False), ("learned", True)])
def test_logits_equal_a_plain_implementation_of_the_release(size, upsampling, at_once):
    model, pictures = randomise(fcn(upsampling=upsampling, at_once=at_once)), picture(*size)
    expected = Release(model, (0.01, 0.0001) if at_once else (1, 1)).logits(pictures)
    assert_finite_and_varied(expected)
    np.testing.assert_allclose(model(pictures)[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("stride", "fused", "last"), [(32, [], 19), (16, [5], 27), (8, [5, 9], 31)])
def test_the_crops_are_those_of_the_release(stride, fused, last):
    model = fcn(skip_stride=stride)
    assert [layer.offset for layer in model.layers if isinstance(layer, AlignedSum)] == fused
    assert [layer.offset for layer in model.layers if isinstance(layer, CropLike)] == [last]


# ---- places


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize(("padding", "kernel"), [(0, 1), (0, 3), (0, 7), (1, 1), (33, 3), (100, 3), (100, 5), (100, 7)])
def test_a_mirrored_picture_has_mirrored_logits(stride, padding, kernel):
    """Where all kernels are symmetric, and poolings leave nothing over, only a map out of place breaks it."""
    model = randomise(fcn(skip_stride=stride, input_padding=padding, fc6_kernel=kernel))
    for name, layer in weighted(model).items():
        if "conv" in name or name == "fc6":
            weights, bias = layer.get_weights()
            layer.set_weights([(weights + weights[::-1, ::-1]) / 2, bias])
    least = 3 if padding else 1  # rows of pool5
    pictures = picture(*(32 * n - 2 * max(0, padding - 1) for n in (least + 7, least + 8)))
    logits = model(pictures).numpy()
    assert_finite_and_varied(logits)
    mirrored = model(pictures[:, ::-1, ::-1]).numpy()[:, ::-1, ::-1]
    np.testing.assert_allclose(mirrored, logits, rtol=0, atol=1e-5 * np.abs(logits).max())


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), classes=st.integers(1, 3))
@pytest.mark.parametrize(("padding", "kernel"), [(0, 3), (33, 3), (97, 7)])
def test_logits_have_the_size_of_the_picture(padding, kernel, height, width, classes):
    network = {"architecture": "fcn", "backbone": "vgg_small", "fc_channels": 2, "input_padding": padding}
    for stride in (32, 16, 8):
        model = built({**network, "fc6_kernel": kernel, "skip_stride": stride}, classes)
        assert model(np.zeros((2, height, width, 3), np.uint8)).shape == (2, height, width, classes)


# ---- upsampling


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 5), width=st.integers(1, 5), factor=st.sampled_from([2, 4, 8, 32]))
def test_fixed_upsampling_equals_a_transposed_convolution_of_bilinear_kernels(height, width, factor):
    x = np.random.default_rng(0).normal(size=(2, height, width, CLASSES)).astype(np.float32)
    kernel = BilinearKernel()((2 * factor, 2 * factor, CLASSES, CLASSES)).numpy()
    np.testing.assert_allclose(kernel[..., 0, 0], caffe_bilinear(2 * factor), atol=1e-6)
    upsampled = BilinearUpsampling(factor)(x)
    expected = np.stack([deconvolution(one, kernel, factor) for one in x])
    assert upsampled.shape == BilinearUpsampling(factor).compute_output_shape(x.shape)
    np.testing.assert_allclose(upsampled, expected, rtol=0, atol=1e-5)


def test_upsampling_is_fixed_or_learned_and_starts_bilinear():
    networks = {kind: fcn(upsampling=kind) for kind in ("bilinear", "learned_between", "learned")}
    ups = {kind: {name for name in weighted(model) if "upscore" in name} for kind, model in networks.items()}
    assert ups["bilinear"] == set()
    assert ups["learned_between"] == {"upscore2", "upscore_pool4"}
    assert ups["learned"] == {"upscore2", "upscore_pool4", "upscore8"}
    assert all(networks["learned"].get_layer(name).trainable for name in ups["learned"])
    randomise(networks["bilinear"])
    transfer = {name: layer.get_weights() for name, layer in weighted(networks["bilinear"]).items()}
    for name, values in transfer.items():
        networks["learned"].get_layer(name).set_weights(values)
    logits, learned = (networks[kind](picture(40, 30)).numpy() for kind in ("bilinear", "learned"))
    np.testing.assert_allclose(learned, logits, rtol=0, atol=1e-5 * np.abs(logits).max())


def test_shapes_are_known_where_the_picture_is():
    x, y = keras.Input((6, 9, 2)), keras.Input((8, None, 2))
    assert AlignedSum(-1)([x, y]).shape == (None, 5, None, 2)
    assert AlignedSum(3)([x, y]).shape == (None, 5, None, 2)
    assert CropLike(1)([y, x]).shape == (None, 6, 9, 2)


# ---- skips


def test_finer_networks_start_from_coarser_ones_by_name():
    networks = {stride: fcn(skip_stride=stride) for stride in (32, 16, 8)}
    coarse, middle, fine = (randomise(networks[32]), networks[16], networks[8])
    assert transfer_weights(coarse, middle, head="extend") == ["score_pool4"]
    assert transfer_weights(middle, fine, head="extend") == ["score_pool3"]
    pictures = picture(90, 70)
    logits = [model(pictures).numpy() for model in (coarse, middle, fine)]
    assert_finite_and_varied(logits[0])
    # A new score layer adds nothing yet: 16s and 8s say what 32s says, but for two interpolations in place of one.
    assert np.abs(logits[1] - logits[0]).max() < 0.2 * np.ptp(logits[0])
    assert np.corrcoef(logits[2].ravel(), logits[0].ravel())[0, 1] > 0.99


def test_scores_start_from_zero():
    for model in (fcn(), fcn(at_once=True, upsampling="learned", batch_norm="all")):
        np.testing.assert_array_equal(model(picture(20, 30)), 0)


def test_batch_norms_stand_where_they_are_asked_for():
    norms = {
        kind: {layer.name for layer in fcn(batch_norm=kind).layers if layer.name.endswith("_bn")}
        for kind in ("none", "head", "all")
    }
    assert norms["none"] == set()
    assert norms["head"] == {"fc6_bn", "fc7_bn"}
    assert norms["all"] - norms["head"] == {f"{name}_bn" for name in weighted(fcn()) if name.startswith("block")}


def test_dropout_acts_in_training_only():
    model = randomise(fcn())
    pictures = picture(20, 30)
    np.testing.assert_array_equal(model(pictures), model(pictures))
    assert np.abs(model(pictures, training=True) - model(pictures)).max() > 0
    assert not [layer for layer in fcn(dropout=0.0).layers if isinstance(layer, keras.layers.Dropout)]


# ---- precision, compilation, files


def test_logits_are_float32_under_mixed_precision(mixed_float16):
    model = randomise(fcn(at_once=True, batch_norm="head"))
    logits = model(picture(33, 47))
    assert logits.dtype == tf.float32
    assert model.get_layer("fc7").compute_dtype == "float16"
    assert_finite_and_varied(logits.numpy())


def test_every_weight_gets_a_gradient_also_when_compiled_by_xla():
    model, pictures = randomise(fcn(upsampling="learned", dropout=0.0)), picture(32, 40)

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(pictures)))
        return tape.gradient(loss, model.trainable_variables)

    compiled = tf.function(gradients, jit_compile=True)()
    for eager, fast in zip(gradients(), compiled, strict=True):
        assert np.abs(eager).max() > 0
        np.testing.assert_allclose(fast, eager, rtol=0, atol=1e-4 * np.abs(eager).max())


def test_a_saved_network_is_loaded_with_its_layers(tmp_path):
    for number, upsampling in enumerate(("bilinear", "learned")):
        model = randomise(fcn(upsampling=upsampling, at_once=True))
        save_model(model, tmp_path / f"{number}.keras", spec_of({}))
        loaded = load_model(tmp_path / f"{number}.keras")
        np.testing.assert_array_equal(loaded(picture(21, 34)), model(picture(21, 34)))
