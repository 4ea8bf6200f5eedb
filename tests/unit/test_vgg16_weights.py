"""Weights of keras.applications' VGG16: every layout of file, fc6 and fc7 from the classifier, unfit files."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from numpy_layers import picture

from networks import built, described, spec_of
from segrepro.config.spec import InitialWeights
from segrepro.errors import UserError
from segrepro.models.importing import load_weights
from segrepro.models.model_files import save_model
from segrepro.models.vgg16 import VGG16_SHAPES, VGGShape
from segrepro.models.weights import APPLICATIONS, classifier_layers, load_backbone_weights
from segrepro.training.initial import initial_model
from training_setup import PROTOCOL

SMALL = VGGShape(depths=(1, 2, 1, 1, 1), channels=(2, 3, 4, 5, 6))
CONVOLUTIONS = ["block1_conv1", "block2_conv1", "block2_conv2", "block3_conv1", "block4_conv1", "block5_conv1"]
FC_CHANNELS = 8
SIZE = 96  # pixels: pool5 is 3 x 3, and fc1 sees it whole
LAYOUTS = ("vgg16.keras", "vgg16.weights.h5", "vgg16.h5", "published.h5")


def application(weights=None, include_top=False, depths=SMALL.depths):
    """keras.applications' VGG16, line by line, but small."""
    del weights
    x = pictures = keras.Input((SIZE, SIZE, 3) if include_top else (None, None, 3))
    for block, (depth, channels) in enumerate(zip(depths, SMALL.channels, strict=True), start=1):
        for n in range(1, depth + 1):
            name = f"block{block}_conv{n}"
            x = layers.Conv2D(channels, (3, 3), activation="relu", padding="same", name=name)(x)
        x = layers.MaxPooling2D((2, 2), strides=(2, 2), name=f"block{block}_pool")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(FC_CHANNELS, activation="relu", name="fc1")(x)
        x = layers.Dense(FC_CHANNELS, activation="relu", name="fc2")(x)
        x = layers.Dense(10, activation="softmax", name="predictions")(x)
    return keras.Model(pictures, x, name="vgg16")


@pytest.fixture(autouse=True)
def small_backbone(monkeypatch):
    monkeypatch.setitem(VGG16_SHAPES, "vgg_small", SMALL)
    monkeypatch.setitem(APPLICATIONS, "vgg_small", application)


@pytest.fixture
def whole():
    return randomise(application(include_top=True))


def randomise(model):
    """Random kernels and biases, dense ones too."""
    generator = np.random.default_rng(7)
    for weight in model.weights:
        spread = np.sqrt(2 / np.prod(weight.shape[:-1])) if weight.name == "kernel" else 0.3
        weight.assign(generator.normal(0, spread, weight.shape))
    return model


def save(model, path):
    """Write a model in the layout that the file's name asks for."""
    if path.name == "published.h5":
        save_as_published(model, path)
    elif path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def save_as_published(model, path):
    """Write the layout of vgg16_weights_tf_dim_ordering_tf_kernels.h5, of 2016."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group, names = file.create_group(layer.name), []
            for short, value in zip("Wb", layer.get_weights(), strict=False):
                names.append(f"{layer.name}_{short}_1:0")
                group[names[-1]] = value
            group.attrs["weight_names"] = [name.encode() for name in names]


def fcn(**network):
    network = {"fc_channels": FC_CHANNELS, "fc6_kernel": 3, "input_padding": 0, **network}
    return built({"architecture": "fcn", "backbone": "vgg_small", **network}, 3)


def assert_holds(network, model, names=CONVOLUTIONS):
    for name in names:
        for mine, theirs in zip(
            network.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)


def assert_refused(network, path, message, backbone="vgg_small"):
    """Check that nothing was set, and that the reason is one sentence that names the file and its remedy."""
    before = [weight.numpy() for weight in network.weights]
    with pytest.raises(UserError, match=message) as caught:
        load_backbone_weights(network, path, backbone)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert "give the weights file of keras.applications'" in str(caught.value)
    for old, new in zip(before, network.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


# ---- files that fit


@pytest.mark.parametrize("layout", LAYOUTS)
def test_convolutions_load_from_every_layout(tmp_path, layout):
    model = randomise(application())
    network = fcn()
    assert len(load_backbone_weights(network, save(model, tmp_path / layout), "vgg_small")) == 2 * len(CONVOLUTIONS)
    assert_holds(network, model)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fc7_answers_as_the_classifier_it_came_from(tmp_path, whole, layout):
    network = fcn()
    assert len(load_backbone_weights(network, save(whole, tmp_path / layout), "vgg_small")) == 2 * (
        len(CONVOLUTIONS) + 2
    )
    assert_holds(network, whole)
    part = {
        "normalised": network.get_layer("normalise").output,
        "fc7": network.get_layer("fc7_relu").output,
    }
    seen = keras.Model(network.input, part)(picture(SIZE, SIZE))
    expected = keras.Model(whole.input, whole.get_layer("fc2").output)(seen["normalised"])
    assert np.count_nonzero(expected) > 1
    np.testing.assert_allclose(seen["fc7"][:, 1, 1], expected, rtol=1e-5, atol=1e-5 * np.max(expected))


def test_the_released_padding_takes_the_same_weights(tmp_path, whole):
    path = save(whole, tmp_path / "whole.keras")
    padded, unpadded = fcn(input_padding=100), fcn()
    load_backbone_weights(padded, path, "vgg_small")
    load_backbone_weights(unpadded, path, "vgg_small")
    assert_holds(padded, unpadded, [*CONVOLUTIONS, "fc6", "fc7"])


@pytest.mark.parametrize("options", [{"fc_channels": 4}, {"fc6_kernel": 1}])
def test_narrower_fully_connected_layers_stay_as_initialised(tmp_path, whole, options):
    network, fresh = fcn(**options), fcn(**options)
    assert len(load_backbone_weights(network, save(whole, tmp_path / "whole.h5"), "vgg_small")) == 2 * len(CONVOLUTIONS)
    assert_holds(network, whole)
    assert_holds(network, fresh, ["fc6", "fc7"])


def test_deconvnet_takes_them_too_and_its_batch_norms_stay(tmp_path, whole):
    description = {"architecture": "deconvnet", "backbone": "vgg_small", "input_size": SIZE, "fc_channels": FC_CHANNELS}
    network, fresh = (built(description, 3) for _ in range(2))
    assert len(load_backbone_weights(network, save(whole, tmp_path / "whole.h5"), "vgg_small")) == 2 * (
        len(CONVOLUTIONS) + 2
    )
    assert_holds(network, whole)
    np.testing.assert_array_equal(
        np.reshape(network.get_layer("fc6").kernel, (-1, FC_CHANNELS)), whole.get_layer("fc1").kernel
    )
    others = {layer.name for layer in network.layers if layer.weights} - {*CONVOLUTIONS, "fc6", "fc7"}
    assert {"block1_conv1_bn", "fc6_bn", "deconv_fc6"} <= others
    assert_holds(network, fresh, others)


def test_the_format_keras_applications_reaches_vgg16(tmp_path, whole):
    network, path = fcn(batch_norm="all"), save(whole, tmp_path / "published.h5")
    description = {"architecture": "fcn", "backbone": "vgg_small"}
    assert len(load_weights(network, described(description), path, file_format="keras_applications")) == 2 * (
        len(CONVOLUTIONS) + 2
    )
    assert_holds(network, whole)


def test_the_log_of_a_training_says_what_the_file_gave_and_which_layers_stay_random(tmp_path, whole, capsys):
    network = {"architecture": "fcn", "backbone": "vgg_small", "batch_norm": "head", "fc_channels": 4}
    path = save(whole, tmp_path / "published.h5")
    init = InitialWeights(weights="w", file=path.name, format="keras_applications", averages="plain")
    spec = spec_of(network, PROTOCOL, classes=3, init=init)
    model = initial_model(spec, path)
    left = "fc6, fc6_bn, fc7, fc7_bn, score_fr, score_pool4, score_pool3"
    given = 2 * len(CONVOLUTIONS)
    line = f"init: {path}: {given} of {len(model.weights)} variables set; layers left as initialised: {left}"
    assert line in capsys.readouterr().err

    save_model(model, tmp_path / "model.keras", spec)
    for head, left, given in (("keep", "none", 0), ("replace", "score_fr, score_pool4, score_pool3", 6)):
        initial_model(spec.model_copy(update={"init": InitialWeights(model="m", head=head)}), tmp_path / "model.keras")
        total = len(model.weights)
        summary = f"{total - given} of {total} variables set; layers left as initialised: {left}\n"
        assert capsys.readouterr().err.endswith(f"init: {tmp_path / 'model.keras'}: {summary}")


# ---- files that do not


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_deeper_vgg_is_refused(tmp_path, layout):
    path = save(application(depths=(1, 2, 2, 1, 1), include_top=True), tmp_path / layout)
    assert_refused(fcn(), path, r"another network than fcn8s_vgg_small: .*VGG16\.$")


@pytest.mark.parametrize("layout", ["resnet.keras", "resnet.weights.h5", "resnet.h5"])
def test_a_resnet_is_refused(tmp_path, layout):
    x = pictures = keras.Input((32, 32, 3))
    for number in range(2):
        x = layers.BatchNormalization(name=f"conv1_{number}_bn")(layers.Conv2D(4, 3, name=f"conv1_{number}_conv")(x))
    x = layers.Dense(10, name="predictions")(layers.GlobalAveragePooling2D()(x))
    path = save(keras.Model(pictures, x), tmp_path / layout)
    assert_refused(fcn(), path, r"another network than fcn8s_vgg_small: it lacks .*; it has besides .*VGG16\.$")


def test_a_vgg_is_refused_by_a_resnet(tmp_path, whole):
    network = built({"backbone": "resnet_v2_tiny", "aspp_channels": 4}, 3)
    path = save(whole, tmp_path / "vgg16.h5")
    assert_refused(network, path, "another network.* ResNet of the same version and depth", "resnet_v2_tiny")


def test_a_file_that_lacks_a_bias_is_refused(tmp_path, whole):
    path = save(whole, tmp_path / "published.h5")
    with h5py.File(path, "a") as file:
        file["fc1"].attrs["weight_names"] = [b"fc1_W_1:0"]
    assert_refused(fcn(), path, r"it lacks fc6/bias \(8,\)")


def test_fc1_without_fc2_is_refused(tmp_path, whole):
    path = save(whole, tmp_path / "published.h5")
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in whole.layers if layer.name != "fc2"]
    assert_refused(fcn(), path, "it has besides fc1/kernel")


def test_a_truncated_file_is_refused(tmp_path, whole):
    path = save(whole, tmp_path / "vgg16.h5")
    path.write_bytes(path.read_bytes()[:2000])
    assert_refused(fcn(), path, "is damaged or holds no weights of fcn8s_vgg_small's backbone")


# ---- classifiers


def test_the_layers_that_depend_on_the_classes_are_told():
    def names(network):
        return {layer.name for layer in classifier_layers(network)}

    assert names(fcn()) == {"score_fr", "score_pool4", "score_pool3"}
    assert names(fcn(upsampling="learned", skip_stride=32)) == {"score_fr", "upscore32"}
    assert names(built({"backbone": "resnet_v2_tiny", "aspp_channels": 4}, 3)) == {"logits_conv"}
