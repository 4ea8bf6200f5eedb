"""Recomputed activations: the same training in less memory."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from segrepro.models.build import build_network
from segrepro.training.memory import model_memory
from segrepro.training.model_files import load_model, save_model
from segrepro.training.optimiser import build_optimiser
from segrepro.training.remat import cut
from segrepro.training.trainer import compile_steps
from training_setup import PROTOCOL

NETWORKS = {
    "deeplabv3": {"backbone": "resnet_v2_tiny", "multi_grid": [1, 2, 1], "aspp_channels": 8},
    "deeplabv3plus": {"architecture": "deeplabv3plus", "backbone": "xception_tiny", "aspp_channels": 8},
    "deconvnet": {"architecture": "deconvnet", "backbone": "vgg_tiny", "input_size": 64, "fc_channels": 16},
    "fcn": {"architecture": "fcn", "backbone": "vgg_tiny", "fc_channels": 16, "fc6_kernel": 3, "input_padding": 0},
}
SIDE = 64


def protocol(name: str, *, remat: bool) -> dict:
    return PROTOCOL | {"crop": SIDE, "micro_batch": 1 if name == "fcn" else 2, "remat": remat}


@functools.cache
def trained(name: str, *, remat: bool):
    """A network, and the gradients of two steps, its weights after them."""
    model = build_network(NETWORKS[name], 3, seed=1)
    settings = protocol(name, remat=remat)
    optimiser = build_optimiser(settings, 0.01, model)
    optimiser.build(model.trainable_variables)
    steps = compile_steps(model, optimiser, settings, "half_pixel", tf.distribute.get_strategy())
    random = np.random.default_rng(0)
    shape = (settings["micro_batch"], SIDE, SIDE)
    pictures = tf.constant(random.integers(0, 256, (*shape, 3)), tf.float32)
    labels = tf.constant(random.integers(0, 3, shape), tf.uint8)
    gradients = []
    for _ in range(2):
        found, _ = steps.gradients(pictures, labels)
        gradients.append([gradient.numpy() for gradient in found])
        steps.apply(found)
    return model, gradients


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_statistics_are_the_same(name):
    """Dropout too: FCN and DeepLabv3+ have some, and would have other gradients with another mask."""
    (model, ours), (plain, theirs) = trained(name, remat=True), trained(name, remat=False)
    for step in range(2):
        for a, b, variable in zip(ours[step], theirs[step], model.trainable_variables, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max() + 1e-7, err_msg=variable.path)
    for a, b in zip(model.variables, plain.variables, strict=True):
        assert a.path == b.path
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=a.path)


@pytest.mark.parametrize("name", ["deeplabv3", "deconvnet"])
def test_statistics_move(name):
    """What the test above compares would be equal, too, if no statistics moved at all."""
    model, start = trained(name, remat=True)[0], build_network(NETWORKS[name], 3, seed=1)
    moved = [
        np.abs(after.moving_variance.numpy() - before.moving_variance.numpy()).max() > 0
        for after, before in zip(model.layers, start.layers, strict=True)
        if type(after) is keras.layers.BatchNormalization
    ]
    assert all(moved)


def test_it_takes_less_memory():
    model = trained("deeplabv3", remat=False)[0]
    settings = protocol("deeplabv3", remat=False) | {"crop": 256}
    few, many = (model_memory(model, settings | {"remat": remat}, "half_pixel").peak for remat in (True, False))
    assert few < 0.75 * many


def test_the_model_file_does_not_tell(tmp_path):
    for remat in (True, False):
        model = trained("deeplabv3", remat=remat)[0]
        model.set_weights([np.ones(w.shape, np.float32) for w in model.get_weights()])
        save_model(model, tmp_path / f"{remat}.keras")
    trained.cache_clear()
    assert (tmp_path / "True.keras").read_bytes() == (tmp_path / "False.keras").read_bytes()
    assert len(load_model(tmp_path / "True.keras").layers) == len(model.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_segments_are_the_network_in_order(name):
    model = build_network(NETWORKS[name], 3)
    segments = cut(model, 128)
    layers = [layer for segment in segments for layer in segment.layers]
    assert layers == [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    known = {id(model.inputs[0])}
    for segment in segments:
        assert set(segment.reads) <= known
        known |= set(segment.gives)
    assert segments[-1].gives == (id(model.outputs[0]),)
    assert len(segments) > 2
