"""Recomputed activations: the same training in less memory."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from networks import built, micro_backbones, spec_of
from segrepro.config.protocols import Protocol
from segrepro.models.model_files import load_model, save_model
from segrepro.models.replicas import BatchNormalization
from segrepro.training.memory import model_memory
from segrepro.training.remat import cut, training_pass
from training_setup import PROTOCOL

NETWORKS = {
    "deeplabv3": {"backbone": "resnet_v2_micro", "multi_grid": [2], "aspp_channels": 8, "aspp_rates": [1]},
    "deeplabv3plus": {
        **{"architecture": "deeplabv3plus", "backbone": "resnet_v2_micro", "multi_grid": [1], "aspp_channels": 8},
        **{"aspp_rates": [1], "low_level_channels": 4, "decoder_channels": 8},
    },
    "deconvnet": {"architecture": "deconvnet", "backbone": "vgg_micro", "input_size": 32, "fc_channels": 16},
    "fcn": {
        **{"architecture": "fcn", "backbone": "vgg_micro", "fc_channels": 16, "fc6_kernel": 3, "input_padding": 0},
    },
}
SIDE = 32


@pytest.fixture(autouse=True, scope="module")
def micro_backbone():
    with micro_backbones():
        yield


def protocol(name: str, *, remat: bool) -> Protocol:
    return PROTOCOL | {"crop": SIDE, "micro_batch": 1 if name == "fcn" else 2, "remat": remat}


@functools.cache
def computed(name: str, *, remat: bool):
    """A network that has seen a batch twice in training, and the gradients of both times."""
    model = built(NETWORKS[name], 3, seed=1)
    settings = protocol(name, remat=remat)
    forward = training_pass(model, settings)
    random = np.random.default_rng(0)
    shape = (settings.micro_batch, SIDE, SIDE, 3)
    pictures = tf.constant(random.integers(0, 256, shape), tf.float32)
    weights = tf.constant(random.normal(size=model.compute_output_shape(shape)), tf.float32)

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(weights * tf.nn.softmax(forward(pictures)))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return model, [[gradient.numpy() for gradient in gradients()] for _ in range(2)]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_statistics_are_the_same(name):
    """Dropout too: FCN and DeepLabv3+ have some, and would have other gradients with another mask."""
    (model, ours), (plain, theirs) = computed(name, remat=True), computed(name, remat=False)
    for time in range(2):
        for a, b, variable in zip(ours[time], theirs[time], model.trainable_variables, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max() + 1e-7, err_msg=variable.path)
    for a, b in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=a.path)


@pytest.mark.parametrize("name", ["deeplabv3", "deconvnet"])
def test_statistics_move(name):
    """What the test above compares would be equal, too, if no statistics moved at all."""
    model = computed(name, remat=True)[0]
    norms = [layer for layer in model.layers if type(layer) is BatchNormalization]
    assert norms
    assert all((norm.moving_variance.numpy() != 1).any() for norm in norms)  # where they start


def test_it_takes_less_memory():
    model = computed("deeplabv3", remat=False)[0]
    settings = protocol("deeplabv3", remat=False) | {"crop": 256}
    few, many = (model_memory(model, settings | {"remat": remat}, "half_pixel").peak for remat in (True, False))
    assert few < 0.75 * many


@pytest.mark.parametrize("name", NETWORKS)
def test_segments_are_the_network_in_order(name):
    model = computed(name, remat=False)[0]
    segments = cut(model, 128)
    layers = [layer for segment in segments for layer in segment.layers]
    assert layers == [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    known = {id(model.inputs[0])}
    for segment in segments:
        assert set(segment.reads) <= known
        known |= set(segment.gives)
    assert segments[-1].gives == (id(model.outputs[0]),)
    assert len(segments) > 2


def test_the_model_file_does_not_tell(tmp_path):
    for remat in (True, False):
        model = computed("deeplabv3", remat=remat)[0]
        model.set_weights([np.ones(w.shape, np.float32) for w in model.get_weights()])
        save_model(model, tmp_path / f"{remat}.keras", spec_of({}))
    assert (tmp_path / "True.keras").read_bytes() == (tmp_path / "False.keras").read_bytes()
    assert len(load_model(tmp_path / "True.keras").layers) == len(model.layers)
    computed.cache_clear()
