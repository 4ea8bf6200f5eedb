"""DeepLabv3+: ASPP and decoder by an independent forward pass, every backbone, dropout, frozen batch norm."""

import collections
import math
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy_layers import batch_norm, convolution, depthwise, picture, randomise, relu, resize_aligned
from PIL import Image

from networks import built, described, spec_of
from segrepro.config.protocols import Protocol
from segrepro.models.blocks import LayerMaker, freeze_batch_norm
from segrepro.models.deeplabv3 import aspp
from segrepro.models.deeplabv3plus import decoder, deeplabv3plus_head
from segrepro.models.model_files import load_model, save_model
from segrepro.models.resnet_v1 import RESNET_V1
from segrepro.models.resnet_v2 import ResNetShape
from segrepro.models.xception import XCEPTION, XceptionShape
from segrepro.stores.manifests import Example
from segrepro.training.input import ExampleStream, training_batches
from segrepro.training.trainer import Trainer

EPSILON = 1e-5
SMALL_HEAD = {"aspp_channels": 8, "aspp_rates": [1, 2], "low_level_channels": 4, "decoder_channels": 8}
MICRO = {"architecture": "deeplabv3plus", "backbone": "xception_micro", "batch_norm_decay": 0.9, **SMALL_HEAD}
DROPPING = {**MICRO, "backbone": "resnet_v1_micro", "multi_grid": [1], "dropout": 0.5}


def register_micro_backbones():
    XCEPTION["xception_micro"] = XceptionShape((4, 4), ((4,) * 3, (6,) * 3, (8,) * 3), 1, ((8,) * 3, (8, 8, 12)))
    RESNET_V1["resnet_v1_micro"] = ResNetShape((1, 1, 1, 1), (4, 4, 4, 4), root_filters=4, root_kernel=3)


@pytest.fixture(autouse=True, scope="module")
def micro_backbone():
    """Backbones of the smallest widths, where only the code path matters; the ResNet compiles in a second."""
    register_micro_backbones()
    yield
    del XCEPTION["xception_micro"], RESNET_V1["resnet_v1_micro"]


@pytest.fixture(scope="module")
def micro():
    return built(MICRO, 4)


# ---- the head by an independent forward pass


def numpy_part(model, x, prefix, *, rate=1):
    """A convolution with batch norm and ReLU, or a separable one with both after each of its parts."""
    names = {layer.name for layer in model.layers}
    for part in (f"{prefix}_depthwise", f"{prefix}_pointwise") if f"{prefix}_depthwise_conv" in names else (prefix,):
        (kernel,) = model.get_layer(f"{part}_conv").get_weights()
        convolve = depthwise if part.endswith("_depthwise") else convolution
        y = convolve(x, kernel, rate=1 if part.endswith("_pointwise") else rate)
        x = relu(batch_norm(y, model.get_layer(f"{part}_bn").get_weights(), EPSILON))
    return x


def numpy_aspp(model, x, rates):
    image = np.broadcast_to(numpy_part(model, x.mean(axis=(0, 1), keepdims=True), "image_pooling"), (*x.shape[:2], 4))
    branches = [numpy_part(model, x, f"aspp{n}", rate=rate) for n, rate in enumerate((1, *rates))]
    return numpy_part(model, np.concatenate([image, *branches], -1), "concat_projection")


def numpy_decoder(model, x, low_level):
    low_level = numpy_part(model, low_level, "decoder.feature_projection0")
    x = np.concatenate([resize_aligned(x, low_level.shape[:2]), low_level], -1)
    return numpy_part(model, numpy_part(model, x, "decoder.decoder_conv0"), "decoder.decoder_conv1")


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("size", [(9, 7), (8, 6)])
def test_aspp_agrees_with_numpy(size, separable):
    inputs = keras.Input((None, None, 6))
    options = {"channels": 4, "rates": (2, 3, 5), "resize": "align_corners"}
    output = aspp(inputs, LayerMaker(0, 0.9, EPSILON), **options, separable=separable, image_first=True)
    model = randomise(keras.Model(inputs, output))
    x = np.random.default_rng(0).normal(size=(*size, 6)).astype(np.float32)
    expected = numpy_aspp(model, x, (2, 3, 5))
    assert expected.std() > 0.01
    np.testing.assert_allclose(model(x[None])[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize(("size", "low_level_size"), [((5, 3), (17, 9)), ((4, 6), (16, 21)), ((1, 2), (3, 5))])
def test_the_decoder_agrees_with_numpy(size, low_level_size, separable):
    inputs = [keras.Input((None, None, 5)), keras.Input((None, None, 7))]
    options = {"low_level_channels": 3, "channels": 4, "separable": separable, "resize": "align_corners"}
    model = randomise(keras.Model(inputs, decoder(*inputs, LayerMaker(0, 0.9, EPSILON), **options)))
    generator = np.random.default_rng(0)
    x, low_level = generator.normal(size=(*size, 5)), generator.normal(size=(*low_level_size, 7))
    expected = numpy_decoder(model, x, low_level)
    assert expected.shape == (*low_level_size, 4)
    assert expected.std() > 0.01
    np.testing.assert_allclose(model([x[None], low_level[None]])[0], expected, rtol=0, atol=1e-4)


def test_the_whole_head_agrees_with_numpy():
    inputs = [keras.Input((None, None, 6)), keras.Input((None, None, 7))]
    network = {"architecture": "deeplabv3plus", "backbone": "xception_tiny", "aspp_channels": 4, "aspp_rates": [2, 3]}
    network |= {"low_level_channels": 3, "decoder_channels": 4, "separable": True}
    logits = deeplabv3plus_head(*inputs, LayerMaker(0, 0.9, EPSILON), described(network), num_classes=3)
    model = randomise(keras.Model(inputs, logits))
    generator = np.random.default_rng(0)
    x, low_level = generator.normal(size=(6, 7, 6)), generator.normal(size=(23, 27, 7))
    kernel, bias = model.get_layer("logits_conv").get_weights()
    expected = numpy_decoder(model, numpy_aspp(model, x, (2, 3)), low_level) @ kernel[0, 0] + bias
    np.testing.assert_allclose(model([x[None], low_level[None]])[0], expected, rtol=0, atol=1e-4)


# ---- the network


@pytest.mark.parametrize("backbone", ["resnet_v2_tiny", "resnet_v1_tiny", "xception_tiny"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_every_family_gives_logits_at_stride_4_for_any_size(backbone, output_stride):
    network = {"architecture": "deeplabv3plus", "backbone": backbone, "output_stride": output_stride, **SMALL_HEAD}
    model = built(network, 4)
    for size in ((65, 97), (64, 50)):
        logits = model(picture(*size).astype(np.uint8))
        assert logits.dtype == tf.float32
        assert tuple(logits.shape) == (1, *(-(-extent // 4) for extent in size), 4)


@pytest.mark.parametrize(
    ("backbone", "tap", "channels"),
    [("resnet_v1_50", "conv2_block3_out", 256), ("resnet_v2_50", "conv2_block2_out", 256)],
)
def test_the_decoder_reads_the_last_features_at_stride_4(backbone, tap, channels):
    model = built({"architecture": "deeplabv3plus", "backbone": backbone, "multi_grid": [1, 2, 4]}, 21)
    projection = model.get_layer("decoder.feature_projection0_conv")
    assert projection.kernel.shape == (1, 1, channels, 48)
    assert projection.input is model.get_layer(tap).output


def test_the_papers_resnet_has_no_separable_convolutions():
    network = {"architecture": "deeplabv3plus", "backbone": "resnet_v1_50", "multi_grid": [1, 2, 4]}
    model = built({**network, "separable": False}, 21)
    assert not [layer.name for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert model.get_layer("aspp1_conv").kernel.shape == (3, 3, 2048, 256)
    assert model.get_layer("decoder.decoder_conv0_conv").kernel.shape == (3, 3, 304, 256)
    assert model.get_layer("decoder.decoder_conv1_conv").kernel.shape == (3, 3, 256, 256)


def test_one_graph_takes_every_size(micro):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def predict(x):
        return micro(x, training=False)

    for size in ((65, 97), (50, 34)):
        x = picture(*size).astype(np.uint8)
        np.testing.assert_allclose(predict(x), micro(x), rtol=1e-4, atol=1e-4)


def test_the_same_seed_gives_the_same_weights_at_every_output_stride(micro):
    other = built({**MICRO, "output_stride": 8}, 4)
    assert [w.path for w in other.weights] == [w.path for w in micro.weights]
    for mine, its in zip(micro.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_initial_kernels_have_the_deviations_of_the_release():
    model = built({"architecture": "deeplabv3plus", "backbone": "xception_65"}, 21)
    kernels = {w.path: w.numpy() for w in model.weights if w.name == "kernel"}
    truncated = 0.8796  # deviation of a standard normal cut at two deviations
    module = "middle_flow.block1.unit_1.xception_module.separable_conv1"
    for path, deviation in (
        (f"{module}_depthwise_conv/kernel", 0.09),
        (f"{module}_pointwise_conv/kernel", 0.09),
        ("aspp1_depthwise_conv/kernel", 0.33),
        ("aspp1_pointwise_conv/kernel", 0.06),
        ("decoder.decoder_conv1_pointwise_conv/kernel", 0.06),
        ("logits_conv/kernel", 0.01),
    ):
        assert kernels[path].std() == pytest.approx(truncated * deviation, rel=0.05), path
    limit = math.sqrt(6 / (256 + 48))  # Glorot, TF's default
    assert np.abs(kernels["decoder.feature_projection0_conv/kernel"]).max() == pytest.approx(limit, rel=0.01)


def test_a_saved_model_loads_without_custom_objects(tmp_path, micro):
    save_model(micro, tmp_path / "model.keras", spec_of({}))
    x = picture(50, 65)
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras")(x), micro(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_float32_logits_and_finite_gradients(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = built(MICRO, 4)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    with tf.GradientTape() as tape:
        logits = model(picture(33, 33), training=True)
        loss = tf.reduce_mean(logits**2)
    assert logits.dtype == tf.float32
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


# ---- dropout and exact resume


def test_dropout_sits_between_aspp_and_decoder_as_in_the_release():
    model = built(MICRO, 4)
    dropout = model.get_layer("dropout")
    assert dropout.rate == 0.1
    assert dropout.input is model.get_layer("concat_projection_relu").output
    x = picture(33, 33)
    np.testing.assert_array_equal(model(x), model(x))
    assert "dropout" not in {layer.name for layer in built({**MICRO, "dropout": 0.0}, 4).layers}


def test_the_random_state_of_dropout_is_a_variable_that_checkpoints_hold_but_no_weight():
    model = built(MICRO, 4)
    weights = {id(weight) for weight in model.weights}
    (state,) = [variable for variable in model.variables if id(variable) not in weights]
    assert state.path.endswith("seed_generator_state")
    before = state.numpy()
    model(picture(33, 33), training=True)
    assert not np.array_equal(before, state.numpy())


PROTOCOL = Protocol(
    steps=5,
    micro_batch=2,
    accumulation=2,
    crop=33,
    scale_range=[0.5, 2.0],
    flip=True,
    pad_picture="mean",
    schedule="poly",
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=4e-5,
    weight_decay_on="kernels",
    loss_at="label",
    log_every=2,
)


@pytest.fixture
def examples(tmp_path):
    generator = np.random.default_rng(0)
    made = []
    for i in range(3):
        image, mask = tmp_path / f"{i}.jpg", tmp_path / f"{i}.png"
        Image.fromarray(generator.integers(0, 256, (40 + i, 36, 3), dtype=np.uint8)).save(image)
        Image.fromarray(generator.integers(0, 4, (40 + i, 36), dtype=np.uint8)).save(mask)
        made.append(Example(str(i), image, mask))
    return made


def trainer_of(folder, *, seed=0, frozen=False, strategy=None):
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = built(DROPPING, 4, seed=seed)
    if frozen:
        freeze_batch_norm(model)
    return Trainer(
        model,
        PROTOCOL,
        resize="align_corners",
        strategy=strategy,
        checkpoint_folder=folder,
        checkpoint_minutes=60.0,
        checkpoint_every=2,
    )


def batches_of(examples, trainer):
    return training_batches(ExampleStream(examples, PROTOCOL, seed=3, threads=1), start_step=trainer.step)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("frozen", [False, True])
def test_a_killed_training_with_dropout_ends_with_the_same_weights_bit_for_bit(examples, tmp_path, frozen):
    whole = trainer_of(tmp_path / "whole", frozen=frozen)
    whole.run(batches_of(examples, whole))

    def deadly(batches):
        for number, batch in enumerate(batches):
            if number == 3:
                raise _KilledError
            yield batch

    killed = trainer_of(tmp_path / "killed", frozen=frozen)
    with pytest.raises(_KilledError):
        killed.run(deadly(batches_of(examples, killed)))
    resumed = trainer_of(tmp_path / "killed", seed=99, frozen=frozen)
    assert resumed.step == 2
    resumed.run(batches_of(examples, resumed))
    for a, b in zip(whole.state, resumed.state, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert whole.history == resumed.history


TWO_DEVICES = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    import numpy as np, tensorflow as tf
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    sys.path[:0] = sys.argv[1].split(os.pathsep)
    from test_models_deeplabv3plus import register_micro_backbones, trainer_of

    register_micro_backbones()
    rng = np.random.default_rng(0)
    batches = [
        (tf.constant(rng.random((2, 2, 33, 33, 3)) * 255, tf.float32), tf.zeros((2, 2, 33, 33), tf.uint8))
        for _ in range(5)
    ]
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    folder = Path(sys.argv[2])
    whole = trainer_of(folder, strategy=strategy)
    whole.run(batches)
    (folder / "step_000000005.npz").unlink()
    resumed = trainer_of(folder, seed=99, strategy=strategy)
    assert resumed.step == 4
    resumed.run(batches[4:])
    # Two devices' copies of a weight drift by a rounding error, hence no bitwise equality; another mask shifts by 1e-3.
    for a, b in zip(whole.model.trainable_variables, resumed.model.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=2e-4)
    states = [
        np.asarray(copy)
        for trainer in (whole, resumed)
        for copy in strategy.experimental_local_results(trainer.model.get_layer("dropout").variables[0].value)
    ]
    assert len(states) == 4 and all(np.array_equal(states[0], state) for state in states)
    print("equal")
    """
)


def test_dropout_trains_and_resumes_on_two_devices(tmp_path):
    """In a process of its own: logical devices must be set up before TensorFlow starts."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, os.pathsep.join(sys.path), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("equal")


# ---- frozen batch norm


def test_frozen_batch_norm_uses_and_keeps_its_statistics_scale_and_offset():
    model = randomise(built({**MICRO, "dropout": 0.0}, 4))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    x = picture(33, 41)
    assert np.abs(model(x, training=True) - model(x, training=False)).max() > 0.1
    state = [v.path for v in model.variables]
    randomise(model)
    before = {norm.name: norm.get_weights() for norm in norms}
    assert norms
    freeze_batch_norm(model)
    assert [v.path for v in model.variables] == state
    np.testing.assert_array_equal(model(x, training=True), model(x, training=False))
    assert {v.name for v in model.trainable_variables} == {"kernel", "bias"}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=True) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    keras.optimizers.SGD(0.1).apply(gradients, model.trainable_variables)
    for norm in norms:
        for old, new in zip(before[norm.name], norm.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_a_frozen_model_is_saved_with_its_weights_in_the_same_order(tmp_path):
    model = randomise(built(MICRO, 4))
    freeze_batch_norm(model)
    save_model(model, tmp_path / "frozen.keras", spec_of({}))
    loaded = load_model(tmp_path / "frozen.keras")
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    for layer in model.layers:
        for old, new in zip(layer.get_weights(), loaded.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    again = built(MICRO, 4)
    again.set_weights(loaded.get_weights())
    assert collections.Counter(v.name for v in again.trainable_variables)["gamma"] > 0


def test_freezing_reaches_the_unread_norm_of_the_reports_network():
    model = built({"backbone": "resnet_v2_tiny", "aspp_channels": 8, "aspp_rates": [1]}, 3)
    assert "post_bn/gamma" in {v.path for v in model.trainable_variables}
    freeze_batch_norm(model)
    assert not {"post_bn/gamma", "post_bn/beta"} & {v.path for v in model.trainable_variables}
