import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segrepro.models.model_files import load_model
from segrepro.models.unpooling import Unpooling, unpool

# Few distinct values: ties in most windows, also between the two zeros.
FEATURES = (-1.0, -0.0, 0.0, 0.5, 2.0)
VALUES = (-3.0, -0.0, 0.0, 1.5, float("inf"))


def unpooled(x, features):
    """The definition, window by window."""
    result = np.zeros(features.shape, x.dtype)
    for n, row, column, channel in np.ndindex(*x.shape):
        window = features[n, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
        down, right = np.unravel_index(np.argmax(window), (2, 2))  # the first of equal ones
        result[n, 2 * row + down, 2 * column + right, channel] = x[n, row, column, channel]
    return result


def gathered(gradient, features):
    """What of a gradient of the result reaches x."""
    batch, height, width, channels = features.shape
    result = np.zeros((batch, height // 2, width // 2, channels), gradient.dtype)
    for n, row, column, channel in np.ndindex(*result.shape):
        place = (n, slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2), channel)
        result[n, row, column, channel] = gradient[place].ravel()[np.argmax(features[place])]
    return result


def assert_same_bits(actual, expected):
    actual = np.asarray(actual)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert actual.tobytes() == expected.tobytes()


@st.composite
def cases(draw):
    batch, rows, columns, channels = (draw(st.integers(1, high)) for high in (2, 3, 3, 2))
    x = draw(arrays(np.float32, (batch, rows, columns, channels), elements=st.sampled_from(VALUES)))
    features = draw(arrays(np.float32, (batch, 2 * rows, 2 * columns, channels), elements=st.sampled_from(FEATURES)))
    return x, features


def drawn(shape=(2, 3, 5, 4), dtype=np.float32, seed=0):
    """Values, features after a ReLU (many windows of zeros), a gradient."""
    generator = np.random.default_rng(seed)
    batch, rows, columns, channels = shape
    large = (batch, 2 * rows, 2 * columns, channels)
    features = np.maximum(np.round(generator.normal(size=large) - 0.5, 1), 0)
    features[:, :2] = 0  # a row of windows without any positive feature
    arrays_of_case = generator.normal(size=shape), features, generator.normal(size=large)
    return tuple(array.astype(dtype) for array in arrays_of_case)


COMPILED = {"graph": tf.function(unpool, reduce_retracing=True), "xla": tf.function(unpool, jit_compile=True)}


@given(cases())
@settings(max_examples=60, deadline=None)
def test_is_bit_identical_to_its_definition(case):
    x, features = case
    assert_same_bits(unpool(tf.constant(x), tf.constant(features)), unpooled(x, features))


@given(cases())
@settings(max_examples=60, deadline=None)
def test_keeps_every_value_once_and_nothing_else(case):
    x, features = case
    result = unpool(tf.constant(x), tf.constant(features)).numpy()
    batch, rows, columns, channels = x.shape
    windows = result.reshape(batch, rows, 2, columns, 2, channels)
    np.testing.assert_array_equal(windows.sum(axis=(2, 4)), x)
    assert (np.count_nonzero(windows, axis=(2, 4)) <= 1).all()


@pytest.mark.parametrize("window", [[0, 0, 0, 0], [-0.0, 0, -0.0, 0], [1, 1, 0, 1], [-1, -1, -1, -1]])
def test_the_first_of_equal_maxima_counts(window):
    features = tf.reshape(tf.constant(window, tf.float32), (1, 2, 2, 1))
    for compiled in (unpool, *COMPILED.values()):
        assert compiled(tf.constant([[[[7.0]]]]), features).numpy().ravel().tolist() == [7, 0, 0, 0]


@pytest.mark.parametrize("way", COMPILED)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 1), (3, 7, 2, 1)])
def test_compiled_by_graph_and_by_xla_it_is_bit_identical(way, dtype, shape):
    x, features, _ = drawn(shape, tf.as_dtype(dtype).as_numpy_dtype)
    assert_same_bits(COMPILED[way](tf.constant(x), tf.constant(features)), unpooled(x, features))


@pytest.mark.parametrize("jit", [False, True])
def test_gradient_is_gathered_at_the_switches_and_none_reaches_the_features(jit):
    x, features, upstream = map(tf.constant, drawn())

    @tf.function(jit_compile=jit)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([x, features])
            result = unpool(x, features)
        found = tape.gradient(result, [x, features], upstream)
        assert found[1] is None
        return found[0]

    assert_same_bits(gradients(), gathered(upstream.numpy(), features.numpy()))


def test_undoes_a_max_pooling():
    _, features, _ = drawn()
    restored = unpool(tf.nn.max_pool2d(features, 2, 2, "VALID"), tf.constant(features)).numpy()
    assert ((restored == features) | (restored == 0)).all()
    pooled_again = tf.nn.max_pool2d(restored, 2, 2, "VALID")
    np.testing.assert_array_equal(pooled_again, tf.nn.max_pool2d(features, 2, 2, "VALID"))


def layer_model(dtype=None):
    x, features = keras.Input((None, None, 4), name="x"), keras.Input((None, None, 4), name="features")
    return keras.Model([x, features], Unpooling(name="unpool", dtype=dtype)([x, features]))


def test_layer_takes_any_batch_and_even_size_also_where_shapes_are_unknown():
    model = layer_model()
    assert model.output_shape == (None, None, None, 4)
    unknown = tf.TensorSpec((None, None, None, None))
    traced = tf.function(unpool, input_signature=[unknown, unknown])
    for shape in ((2, 3, 5, 4), (1, 8, 1, 4)):
        x, features, _ = drawn(shape)
        assert_same_bits(model([x, features]), unpooled(x, features))
        assert_same_bits(traced(x, features), unpooled(x, features))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layer_follows_the_dtype_policy(policy):
    layer = Unpooling(dtype=policy)
    x, features, _ = drawn(dtype=tf.as_dtype(layer.compute_dtype).as_numpy_dtype)
    result = layer([tf.constant(x), tf.constant(features)])
    assert result.dtype == layer.compute_dtype
    assert_same_bits(result, unpooled(x, features))


def test_layer_is_saved_and_loaded(tmp_path):
    x, features, _ = drawn()
    layer_model().save(tmp_path / "model.keras")
    assert_same_bits(load_model(tmp_path / "model.keras")([x, features]), unpooled(x, features))


def test_layer_passes_its_result_on_to_convolutions_of_known_channels():
    model = layer_model()
    model = keras.Model(model.inputs, keras.layers.Conv2D(2, 3)(model.output))
    assert model.compute_output_shape([(1, 2, 3, 4), (1, 4, 6, 4)]) == (1, 2, 4, 2)


@pytest.mark.parametrize("shape", [(2, 5, 10, 4), (2, 6, 12, 4), (1, 6, 10, 4), (2, 6, 10, 3), (2, 12, 5, 4)])
def test_features_of_another_shape_are_refused(shape):
    x, features = tf.zeros((2, 3, 5, 4)), tf.zeros(shape)
    with pytest.raises(ValueError, match="multiples of 32"):
        unpool(x, features)


def test_features_of_another_shape_are_refused_also_where_shapes_are_unknown():
    traced = tf.function(unpool, input_signature=[tf.TensorSpec((None,) * 4)] * 2)
    for shape in ((2, 5, 10, 4), (2, 8, 10, 4)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            traced(tf.zeros((2, 3, 5, 4)), tf.zeros(shape))
