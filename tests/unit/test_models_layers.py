import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate

from segrepro.models.blocks import LayerMaker, layer_seed
from segrepro.models.layers import (
    NORMALISATIONS,
    RESIZE_MODES,
    Normalise,
    ResizeLike,
    UnreadBatchNormalization,
    neutral_pixel,
    resize_bilinear,
)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)


@pytest.fixture
def mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


# ---- normalisation


@pytest.mark.parametrize(
    ("mode", "reference"),
    [
        ("caffe", keras.applications.vgg16.preprocess_input),
        ("keras_tf", keras.applications.resnet_v2.preprocess_input),
        ("mean_rgb", lambda x: x - np.array([123.68, 116.779, 103.939], np.float32)),
    ],
)
def test_normalise_agrees_with_its_source_for_uint8_and_float(pictures, mode, reference):
    expected = reference(pictures.astype(np.float32))
    np.testing.assert_allclose(Normalise(mode)(pictures), expected, atol=1e-4)
    np.testing.assert_allclose(Normalise(mode)(pictures.astype(np.float32)), expected, atol=1e-4)


def test_normalise_stays_float32_under_mixed_precision(pictures, mixed_float16):
    broken = pictures.astype(np.float32) + 0.123
    normalised = Normalise("keras_tf")(broken)
    assert normalised.dtype == tf.float32
    np.testing.assert_allclose(normalised, broken / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_the_neutral_pixel_becomes_zero(mode):
    pictures = keras.Input((None, None, 3))
    model = keras.Model(pictures, Normalise(mode, name="normalise")(pictures))
    np.testing.assert_allclose(model(np.full((1, 2, 2, 3), neutral_pixel(model), np.float32)), 0, atol=1e-6)


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_normalise_survives_serialisation(mode):
    layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Normalise(mode)))
    assert isinstance(layer, Normalise)
    assert layer.mode == mode


# ---- resizing


def _weights(source, target, mode):
    """The (target, source) matrix of one-dimensional linear interpolation."""
    index = np.arange(target)
    if mode == "half_pixel":
        position = (index + 0.5) * source / target - 0.5
    elif mode == "legacy":
        position = index * source / target
    else:
        position = index * (source - 1) / (target - 1) if target > 1 else index * 0.0
    position = np.clip(position, 0, source - 1)
    lower = np.floor(position).astype(int)
    matrix = np.zeros((target, source))
    matrix[index, lower] += 1 - (position - lower)
    matrix[index, np.minimum(lower + 1, source - 1)] += position - lower
    return matrix


extents = st.integers(1, 12)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@settings(max_examples=25, deadline=None)
@given(height=extents, width=extents, new_height=extents, new_width=extents)
def test_resizing_agrees_with_numpy(mode, height, width, new_height, new_width):
    x = np.random.default_rng(height * 13 + width).normal(size=(2, height, width, 3)).astype(np.float32)
    rows, columns = _weights(height, new_height, mode), _weights(width, new_width, mode)
    expected = np.einsum("Yy,Xx,byxc->bYXc", rows, columns, x)
    np.testing.assert_allclose(resize_bilinear(x, (new_height, new_width), mode), expected, atol=1e-5)


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_gradient_of_resizing_is_the_transposed_map(mode):
    x = tf.Variable(np.random.default_rng(1).normal(size=(1, 4, 5, 1)).astype(np.float32))
    upstream = np.random.default_rng(2).normal(size=(1, 9, 7, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(resize_bilinear(x, (9, 7), mode) * upstream)
    expected = np.einsum("Yy,Xx,bYXc->byxc", _weights(4, 9, mode), _weights(5, 7, mode), upstream)
    np.testing.assert_allclose(tape.gradient(total, x), expected, atol=1e-5)


def test_resizing_computes_in_float32():
    half = np.random.default_rng(3).normal(size=(1, 4, 4, 2)).astype(np.float16)
    resized = resize_bilinear(half, (9, 9), "align_corners")
    assert resized.dtype == tf.float32
    np.testing.assert_array_equal(resized, resize_bilinear(half.astype(np.float32), (9, 9), "align_corners"))


def test_resize_like_takes_its_size_from_the_other_map_at_run_time():
    x, like = keras.Input((None, None, 4)), keras.Input((None, None, 9))
    model = keras.Model([x, like], ResizeLike("legacy")([x, like]))
    assert model.output.shape == (None, None, None, 4)
    assert model([np.ones((2, 1, 1, 4)), np.ones((2, 5, 6, 9))]).shape == (2, 5, 6, 4)


def test_resize_like_returns_the_policy_dtype(mixed_float16):
    assert ResizeLike("legacy")([np.ones((1, 1, 1, 2)), np.ones((1, 3, 3, 2))]).dtype == tf.float16


# ---- unread variables


def test_unread_norm_passes_its_input_on_and_leaves_its_variables_alone():
    layer = UnreadBatchNormalization()
    x = tf.constant(np.random.default_rng(4).normal(3, 2, (2, 3, 3, 5)).astype(np.float32))
    layer(x)
    before = layer.get_weights()
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        total = tf.reduce_sum(y * y)
    np.testing.assert_array_equal(y, x)
    d_x, *d_variables = tape.gradient(total, [x, *layer.trainable_variables])
    np.testing.assert_array_equal(d_x, 2 * x)
    assert len(d_variables) == 2
    assert all(gradient is not None and not np.any(gradient) for gradient in d_variables)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# ---- convolutions


def _convolved(x, kernel, *, stride, rate):
    """Dilated, strided convolution of one picture by scipy, centred on pixels 0, stride, 2 * stride, ..."""
    side = (kernel.shape[0] - 1) * rate + 1
    spread = np.zeros((side, side, *kernel.shape[2:]))
    spread[::rate, ::rate] = kernel
    result = np.zeros((*x.shape[:2], kernel.shape[3]))
    for channel in range(kernel.shape[2]):
        for out in range(kernel.shape[3]):
            result[..., out] += correlate(x[..., channel], spread[..., channel, out], mode="constant")
    return result[::stride, ::stride]


@pytest.mark.parametrize("size", [(9, 11), (8, 12)])
@pytest.mark.parametrize(
    ("kernel", "stride", "rate"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 4), (7, 2, 1), (1, 2, 1), (3, 1, 12)]
)
def test_convolution_agrees_with_scipy_on_odd_and_even_maps(size, kernel, stride, rate):
    x = np.random.default_rng(5).normal(size=(*size, 2)).astype(np.float32)
    inputs = keras.Input((None, None, 2))
    make = LayerMaker(0, 0.9, 1e-5)
    model = keras.Model(inputs, make.convolution(inputs, "c", 3, kernel, stride=stride, rate=rate))
    expected = _convolved(x, model.get_weights()[0], stride=stride, rate=rate)
    np.testing.assert_allclose(model(x[None])[0], expected, atol=1e-4)


def test_initial_weights_have_the_variance_of_their_source():
    make = LayerMaker(3, 0.9, 1e-5)
    inputs = keras.Input((None, None, 128))
    he = keras.Model(inputs, make.convolution(inputs, "he", 64, 3)).get_weights()[0]
    assert he.var() == pytest.approx(2 / (9 * 128), rel=0.03)
    options = {"initializer": "glorot", "bias": True}
    glorot, bias = keras.Model(inputs, make.convolution(inputs, "glorot", 64, **options)).get_weights()
    assert glorot.var() == pytest.approx(2 / (128 + 64), rel=0.05)
    assert np.abs(glorot).max() <= np.sqrt(6 / (128 + 64))
    assert not bias.any()


def test_layer_seeds_differ_by_seed_and_name_and_are_stable():
    seeds = {layer_seed(seed, name) for seed in range(50) for name in ("a", "b", "conv1_conv")}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert layer_seed(0, "conv1_conv") == layer_seed(0, "conv1_conv") == 801439657
