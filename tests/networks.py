"""Networks and specs of the tests: a description needs only the keys that a test is about."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pydantic import TypeAdapter

from segrepro.config.networks import VARIANTS, Network
from segrepro.config.protocols import Protocol
from segrepro.config.spec import ModelSpec

REPORT = {  # report 2's network, but for the multi-grid, which its code lost
    **{"backbone": "resnet_v2_101", "output_stride": 16, "multi_grid": [1, 2, 4]},
    **{"aspp_channels": 256, "aspp_rates": [6, 12, 18], "batch_norm_decay": 0.9997, "resize": "legacy"},
}
RELEASED = {  # Xception-65
    **REPORT,
    **{"backbone": "xception_65", "multi_grid": [1, 1, 1], "resize": "align_corners", "dropout": 0.1},
    **{"low_level_channels": 48, "decoder_channels": 256, "separable": True},
}
VGG = {"backbone": "vgg16", "normalisation": "caffe_ilsvrc", "resize": "half_pixel"}
WHOLE = {"deeplabv3": REPORT, "deeplabv3plus": RELEASED, "fcn": VGG | {"skip_stride": 8}, "deconvnet": VGG}
PICTURES = {
    "slim": "mean_rgb",
    "resnet_v2": "keras_tf",
    "resnet_v1": "caffe",
    "xception": "keras_tf",
    "mobilenet": "keras_tf",
}
TWINS = ("micro", "small")  # endings of backbones that tests add; the config knows neither them nor their multi-grids


def described(keys: dict[str, Any]) -> Network:
    """A network's section: ``keys``, and what was published where they are silent (architecture: deeplabv3)."""
    whole = WHOLE[keys.get("architecture", "deeplabv3")]
    keys = {"architecture": "deeplabv3", **whole, **keys}
    family = keys["backbone"].rpartition("_")[0]
    if family in VARIANTS:
        variant = keys.setdefault("variant", VARIANTS[family][0])
        keys.setdefault("normalisation", PICTURES.get(variant, PICTURES[family]))
    twin = {}
    if keys["backbone"].endswith(TWINS):
        twin = {key: keys[key] for key in ("backbone", "multi_grid") if key in keys}
        known = {"resnet_v2": "resnet_v2_tiny", "resnet_v1": "resnet_v1_tiny", "xception": "xception_tiny"}
        keys |= {key: whole[key] for key in twin} | {"backbone": known.get(family, "vgg_tiny")}
    return TypeAdapter(Network).validate_json(json.dumps(keys)).model_copy(update=twin)


def built(keys: dict[str, Any], classes: int, *, seed: int = 0) -> Any:
    """The network of `described`."""
    from segrepro.models.build import build_network

    return build_network(described(keys), classes, seed=seed)


def built_of_zeros(keys: dict[str, Any], classes: int) -> Any:
    """The same with zeros for weights, where only shapes and settings matter: no time for random numbers."""
    from contextlib import ExitStack

    import keras
    import tensorflow as tf

    kinds = (keras.initializers.RandomNormal, keras.initializers.TruncatedNormal, keras.initializers.VarianceScaling)
    with ExitStack() as patches:
        for kind in kinds:
            zeros = lambda self, shape, dtype=None, **_: tf.zeros(shape, dtype)  # noqa: E731
            patches.enter_context(mock.patch.object(kind, "__call__", zeros))
        return built(keys, classes)


def spec_of(network: dict[str, Any], protocol: Protocol | None = None, **keys: Any) -> ModelSpec:
    """The spec of a model with the network of `described`."""
    shared = {"name": "m", "seed": 0, "label_space": "voc21", "classes": 21}
    protocol = protocol and Protocol(**protocol.model_dump())  # not a class of the tests
    return ModelSpec(**shared | keys, network=described(network), protocol=protocol)


@contextmanager
def micro_backbones() -> Iterator[None]:
    """Add the smallest backbones that have all that tells one family from another, where only the code path matters."""
    from segrepro.models.resnet_v1 import RESNET_V1
    from segrepro.models.resnet_v2 import RESNET_V2, ResNetShape
    from segrepro.models.vgg16 import VGG16_SHAPES, VGGShape
    from segrepro.models.xception import XCEPTION, XceptionShape

    RESNET_V2["resnet_v2_micro"] = ResNetShape((1, 1, 1, 1), (4, 4, 8, 8), root_filters=8, root_kernel=3)
    RESNET_V1["resnet_v1_micro"] = ResNetShape((1, 1, 1, 1), (4, 4, 4, 4), root_filters=4, root_kernel=3)
    VGG16_SHAPES["vgg_micro"] = VGGShape(depths=(1, 1, 1, 1, 1), channels=(2, 3, 4, 5, 6))
    XCEPTION["xception_micro"] = XceptionShape((4, 4), ((4,) * 3, (6,) * 3, (8,) * 3), 1, ((8,) * 3, (8, 8, 12)))
    try:
        yield
    finally:
        del RESNET_V2["resnet_v2_micro"], RESNET_V1["resnet_v1_micro"]
        del VGG16_SHAPES["vgg_micro"], XCEPTION["xception_micro"]
