import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import resnet
from scipy.ndimage import correlate

from networks import built
from segrepro.errors import UserError
from segrepro.models.blocks import LayerMaker
from segrepro.models.layers import Normalise
from segrepro.models.resnet_v2 import RESNET_V2, VARIANTS, ResNetShape, plan_units, resnet_v2
from segrepro.models.weights import APPLICATIONS, load_backbone_weights

PLAIN = (1, 1, 1)


def backbone(name, *, variant="keras", output_stride=32, multi_grid=PLAIN, features=None, taps=False):
    """The network up to its features; with all its taps where asked."""
    pictures = keras.Input((None, None, 3))
    variant = VARIANTS[variant]
    outputs = resnet_v2(
        Normalise("keras_tf")(pictures),
        LayerMaker(0, 0.9997, variant.epsilon),
        shape=RESNET_V2[name],
        output_stride=output_stride,
        multi_grid=multi_grid,
        pool_padding=variant.pool_padding,
        features=features or variant.features,
    )
    return keras.Model(pictures, outputs if taps else outputs["features"])


def randomise(model, seed=0):
    """Random values for every variable, such that signals neither explode nor die through 33 units."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name == "kernel":
            value = generator.normal(0, np.sqrt(0.5 / np.prod(shape[:3])), shape)
        elif variable.name in ("gamma", "moving_variance"):
            value = generator.uniform(0.5, 1.5, shape)
        else:
            value = generator.normal(0, 0.3, shape)
        variable.assign(value.astype(np.float32))
    return model


def copy_by_name(source, target):
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3)).astype(np.float32)


# ---- parity with keras.applications


@pytest.mark.parametrize("name", ["resnet_v2_50", "resnet_v2_101"])
def test_features_equal_those_of_keras_applications_with_the_same_weights(name):
    reference = randomise(APPLICATIONS[name](weights=None, include_top=False, input_shape=(None, None, 3)))
    model = backbone(name)
    copy_by_name(reference, model)
    named = {layer.name for layer in reference.layers if layer.weights}
    assert named == {layer.name for layer in model.layers if layer.weights}
    x = picture(70, 49)  # maps of 35, 18, 9, 5, 3 rows and 25, 13, 7, 4, 2 columns
    expected = reference(keras.applications.resnet_v2.preprocess_input(x.copy())).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-4)


# ---- strides and rates


@pytest.mark.parametrize(
    ("output_stride", "multi_grid", "strided", "block3_rates", "block4_rates"),
    [
        (32, PLAIN, ["conv2_block3", "conv3_block4", "conv4_block23"], {1}, [1, 1, 1]),
        (16, PLAIN, ["conv2_block3", "conv3_block4"], {1}, [2, 2, 2]),
        (16, (1, 2, 4), ["conv2_block3", "conv3_block4"], {1}, [2, 4, 8]),
        (8, PLAIN, ["conv2_block3"], {2}, [4, 4, 4]),
        (8, (1, 2, 4), ["conv2_block3"], {2}, [4, 8, 16]),
    ],
)
def test_strides_become_rates(output_stride, multi_grid, strided, block3_rates, block4_rates):
    plan = list(plan_units(RESNET_V2["resnet_v2_101"], output_stride=output_stride, multi_grid=multi_grid))
    assert len(plan) == 33
    assert [unit.name for unit in plan if unit.stride == 2] == strided
    assert {unit.rate for unit in plan if unit.name.startswith("conv4")} == block3_rates
    assert [unit.rate for unit in plan if unit.name.startswith("conv5")] == block4_rates
    assert {unit.rate for unit in plan if unit.name.startswith(("conv2", "conv3"))} == {1}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_dilated_network_agrees_with_the_strided_one_where_both_have_features(variant):
    size = (97, 50)
    strided = randomise(backbone("resnet_v2_tiny", variant=variant))
    expected = strided(picture(*size)).numpy()
    for output_stride in (16, 8):
        dilated = backbone("resnet_v2_tiny", variant=variant, output_stride=output_stride)
        dilated.set_weights(strided.get_weights())
        every = 32 // output_stride
        features = dilated(picture(*size)).numpy()
        assert features.shape[1:3] == tuple(-(-extent // output_stride) for extent in size)
        np.testing.assert_allclose(features[:, ::every, ::every], expected, rtol=0, atol=1e-4)


def test_multi_grid_changes_the_features():
    plain = randomise(backbone("resnet_v2_tiny", output_stride=16))
    grid = backbone("resnet_v2_tiny", output_stride=16, multi_grid=(1, 2, 4))
    grid.set_weights(plain.get_weights())
    assert np.abs(plain(picture(97, 97)) - grid(picture(97, 97))).max() > 0.1


# ---- the slim graph, by an independent forward pass


def batch_norm_relu(x, values, epsilon):
    gamma, beta, mean, variance = values
    return np.maximum((x - mean) / np.sqrt(variance + epsilon) * gamma + beta, 0)


def dilated_3x3(x, kernel, rate):
    spread = np.zeros((2 * rate + 1, 2 * rate + 1, *kernel.shape[2:]))
    spread[::rate, ::rate] = kernel
    planes = [
        sum(correlate(x[..., i], spread[..., i, o], mode="constant") for i in range(kernel.shape[2]))
        for o in range(kernel.shape[3])
    ]
    return np.stack(planes, axis=-1)


def numpy_unit(model, x, name, *, stride, rate):
    """One bottleneck of TF-slim's resnet_v2, as the page of facts states it."""
    weights = {layer.name.removeprefix(f"{name}_"): layer.get_weights() for layer in model.layers}
    preact = batch_norm_relu(x, weights["preact_bn"], 1e-5)
    if "0_conv" in weights:
        kernel, bias = weights["0_conv"]
        shortcut = preact @ kernel[0, 0] + bias
    else:
        shortcut = x
    y = batch_norm_relu(preact @ weights["1_conv"][0][0, 0], weights["1_bn"], 1e-5)
    y = batch_norm_relu(dilated_3x3(y, weights["2_conv"][0], rate)[::stride, ::stride], weights["2_bn"], 1e-5)
    kernel, bias = weights["3_conv"]
    return shortcut[::stride, ::stride] + y @ kernel[0, 0] + bias


@pytest.mark.parametrize(
    ("output_stride", "source", "name", "stride", "rate"),
    [
        (32, "conv4_block1_out", "conv4_block2", 2, 1),  # strided, raw input subsampled
        (16, "conv3_block1_out", "conv4_block1", 1, 1),  # shortcut convolution
        (16, "conv4_block2_out", "conv5_block1", 1, 2),  # dilated
    ],
)
def test_units_of_the_slim_variant_agree_with_numpy(output_stride, source, name, stride, rate):
    model = randomise(backbone("resnet_v2_tiny", variant="slim", output_stride=output_stride, taps=True))
    taps = {tap: value[0].numpy() for tap, value in model(picture(129, 72)).items()}
    expected = numpy_unit(model, taps[source], name, stride=stride, rate=rate)
    np.testing.assert_allclose(taps[f"{name}_out"], expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(taps["features"], taps["conv5_block3_out"])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(29, 33), (24, 32)])
def test_the_root_pools_as_its_variant_does(variant, size):
    model = randomise(backbone("resnet_v2_tiny", variant=variant))
    root = keras.Model(model.input, [model.get_layer(f"{n}").output for n in ("conv1_conv", "pool1_pool")])
    before, pooled = (value[0].numpy() for value in root(picture(*size)))
    pads = []
    for extent in before.shape[:2]:
        if variant == "keras":
            pads.append((1, 1))
        else:  # TF's SAME: none before an even extent
            pads.append((extent % 2, 1))
    padded = np.pad(before, [*pads, (0, 0)], constant_values=0 if variant == "keras" else -np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
    np.testing.assert_allclose(pooled, windows.max(axis=(-2, -1)), atol=1e-5)


# ---- weights of keras.applications


SMALL = ResNetShape(units=(2, 2, 3, 2), widths=(4, 4, 8, 8))


def small_application(weights=None, include_top=False, stack=resnet.stack_residual_blocks_v2):
    """What keras.applications would build for ``SMALL``, by its own code (by its v1 code with that stack)."""

    def blocks(x):
        for block, (units, width) in enumerate(zip(SMALL.units, SMALL.widths, strict=True), start=2):
            x = stack(x, width, units, stride1=1 if block == 5 else 2, name=f"conv{block}")
        return x

    is_v2 = stack is resnet.stack_residual_blocks_v2
    return resnet.ResNet(blocks, is_v2, True, weights=weights, include_top=include_top, name="small")


@pytest.fixture(autouse=True, scope="module")
def small_backbone():
    """A ResNet-v2 of a few hundred kilobytes, known to the network builder and as an application."""
    RESNET_V2["resnet_v2_small"] = SMALL
    APPLICATIONS["resnet_v2_small"] = small_application
    yield
    del RESNET_V2["resnet_v2_small"], APPLICATIONS["resnet_v2_small"]


@pytest.fixture(scope="module")
def application():
    return randomise(small_application(), seed=7)


@pytest.fixture(scope="module")
def network():
    network = {"backbone": "resnet_v2_small", "multi_grid": [1, 1], "aspp_channels": 8, "aspp_rates": [2]}
    return built(network, 3)


def write_published_layout(path, model, skip=(), extra=()):
    """The layout of the files that Keras publishes: bytes attributes, ``layer/kernel:0`` datasets."""
    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.name not in skip]
        names = [layer.name for layer in layers] + list(extra)
        file.attrs["layer_names"] = [name.encode() for name in names]
        for layer in layers:
            group = file.create_group(layer.name)
            keys = [f"{layer.name}/{variable.name}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, value in zip(keys, layer.get_weights(), strict=True):
                group[key] = value
        for name in extra:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            group[f"{name}/kernel:0"] = np.zeros((32, 10), np.float32)


FORMATS = (".h5", ".whole.h5", ".keras", ".weights.h5")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, application):
    """The application's weights in every format, by suffix."""
    paths = {suffix: tmp_path_factory.mktemp("weights") / f"small{suffix}" for suffix in FORMATS}
    write_published_layout(paths[".h5"], application, extra=["predictions"])
    application.save(paths[".whole.h5"])
    application.save(paths[".keras"])
    application.save_weights(paths[".weights.h5"])
    return paths


@pytest.mark.parametrize("suffix", FORMATS)
def test_backbone_weights_load_from_every_format(saved, application, network, suffix):
    for variable in network.variables:
        variable.assign(np.zeros(variable.shape, np.float32))
    assert len(load_backbone_weights(network, saved[suffix], "resnet_v2_small")) == len(application.variables)
    for layer in application.layers:
        if layer.weights:
            for given, held in zip(layer.get_weights(), network.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(held, given)
    assert not network.get_layer("aspp0_conv").get_weights()[0].any()


def refused(network, path, backbone="resnet_v2_small"):
    before = network.get_weights()
    with pytest.raises(UserError) as caught:
        load_backbone_weights(network, path, backbone)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_file_that_lacks_variables_is_refused_and_they_are_named(tmp_path, application, network):
    path = tmp_path / "holes.h5"
    write_published_layout(path, application, skip=["conv4_block3_2_conv", "post_bn"])
    message = refused(network, path)
    assert "it lacks conv4_block3_2_conv/kernel (3, 3, 8, 8), post_bn/gamma (32,)" in message


def test_a_deeper_network_is_refused_though_it_has_all_that_is_wanted(tmp_path, application, network):
    path = tmp_path / "deeper.h5"
    write_published_layout(path, application, extra=["conv4_block7_1_conv"])
    assert "it has besides conv4_block7_1_conv/kernel;" in refused(network, path)


def test_a_resnet_v1_is_refused(tmp_path, network):
    path = tmp_path / "v1.h5"
    write_published_layout(path, small_application(stack=resnet.stack_residual_blocks_v1))
    message = refused(network, path)
    assert "it lacks conv2_block1_preact_bn/gamma (64,)" in message
    assert "conv1_bn/" in message


def test_missing_and_left_over_groups_are_refused_where_the_file_names_no_layers(tmp_path, saved, network):
    path = tmp_path / "other.weights.h5"
    path.write_bytes(saved[".weights.h5"].read_bytes())
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_5/vars"]
        file["layers/conv2d_99/vars/0"] = np.zeros((3, 3), np.float32)
        file["layers/conv2d_6/vars/7"] = np.zeros(3, np.float32)
    message = refused(network, path)
    assert "it lacks conv2_block2_1_conv/kernel" in message
    assert "it has besides conv2_block2_2_conv/7, conv2d_99/0;" in message


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_small_network_of_other_layers_is_refused(tmp_path, network, suffix):
    path = tmp_path / f"other{suffix}"
    other = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3, name="conv1_conv")])
    other.save(path) if suffix == ".keras" else other.save_weights(path)
    refused(network, path)


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".weights.h5"])
def test_damaged_files_are_refused(tmp_path, saved, network, suffix):
    path = tmp_path / f"truncated{suffix}"
    whole = saved[suffix].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(network, path)
    path.write_text("<html>404</html>")
    assert "damaged" in refused(network, path)


def test_an_absent_file_is_named(tmp_path, network):
    assert "does not exist" in refused(network, tmp_path / "nowhere.h5")


def test_a_backbone_without_an_application_is_refused(saved):
    tiny = built({"backbone": "resnet_v2_tiny", "aspp_channels": 8}, 3)
    assert "no such backbone" in refused(tiny, saved[".weights.h5"], "resnet_v2_tiny")
