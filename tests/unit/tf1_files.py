"""What the tests of imports share: networks, files in TF1's format and networks imported from them."""

import functools
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from networks import built, described
from segrepro.models.importing import check_network, load_weights
from segrepro.models.tf1_names import LAYOUTS

REPORT = {
    "architecture": "deeplabv3",
    "backbone": "resnet_v2_101",
    "variant": "slim",
    "output_stride": 16,
    "multi_grid": [1, 1, 1],
    "aspp_rates": [6, 12, 18],
    "batch_norm_epsilon": 1e-5,
    "normalisation": "mean_rgb",
    "resize": "legacy",
}
RESNET_V1 = {**REPORT, "backbone": "resnet_v1_101", "variant": "keras"}
RELEASED = {
    "architecture": "deeplabv3plus",
    "backbone": "xception_65",
    "variant": "released",
    "output_stride": 16,
    "multi_grid": [1, 1, 1],
    "aspp_rates": [6, 12, 18],
    "normalisation": "keras_tf",
    "resize": "align_corners",
}
MOBILENET = {
    **RELEASED,
    "architecture": "deeplabv3",
    "backbone": "mobilenet_v2",
    "aspp_rates": [],
}
MICRO_REPORT = {**REPORT, "backbone": "resnet_v2_micro", "aspp_channels": 8}
MICRO_RELEASED = {
    **RELEASED,
    "backbone": "xception_micro",
    "aspp_channels": 8,
    "decoder_channels": 8,
    "low_level_channels": 4,
}
CLASSES = 4


def save_tf1(prefix, values) -> Path:
    """Write a TF1 checkpoint, as tf.train.Saver does."""
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[values[name] for name in names],
    )
    return Path(prefix)


def tf1_values(model, file_format, backbone):
    """The variables of a model by TF1 name, with random values."""
    rng = np.random.default_rng(1)
    values = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = LAYOUTS[file_format].tf1_name(layer.name, variable.name, backbone=backbone)
            if name is not None:
                assert name not in values
                values[name] = rng.uniform(0.5, 1, variable.shape).astype(np.float32)
    return values


def extras(values):
    """What a training leaves in a checkpoint besides the model."""
    return {"global_step": np.int64(30000), **{f"{name}/Momentum": np.zeros_like(values[name]) for name in values}}


def assert_one_sentence(error):
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 700


@functools.cache
def micro_network(description: str, classes: int):
    """A network and its first weights; built once for all tests."""
    model = built(json.loads(description), classes)
    return model, model.get_weights()


def import_micro(path, network=MICRO_REPORT, classes=CLASSES, file_format="tf1_deeplabv3_resnet_v2", **options):
    """Import into a network as it was built; the same network each time."""
    check_network(described(network), file_format)
    model, first = micro_network(json.dumps(network), classes)
    model.set_weights(first)
    load_weights(model, described(network), path, file_format=file_format, **options)
    return model


def assert_holds(model, values, file_format="tf1_deeplabv3_resnet_v2", backbone="resnet_v2_micro"):
    count = 0
    for layer in model.layers:
        for variable in layer.weights:
            name = LAYOUTS[file_format].tf1_name(layer.name, variable.name, backbone=backbone)
            if name is not None:
                np.testing.assert_array_equal(variable.numpy(), values[name], err_msg=name)
                count += 1
    assert count == len(values)
