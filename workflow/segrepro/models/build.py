"""Networks by description: a plain mapping, as a model's spec holds it, becomes a Keras model.

A model takes RGB pictures, uint8 or float32 0..255, (batch, height, width, 3) of any size, and gives logits,
float32, (batch, ceil(height / stride), ceil(width / stride), classes): ``deeplabv3`` at its output stride,
``deeplabv3plus`` at stride 4. Normalisation is a layer of the model; resizing the logits to the picture is the
reader's business, by ``layers.resize_bilinear`` in the network's ``resize`` mode.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import keras
from keras import KerasTensor

from segrepro.errors import UserError
from segrepro.models.backbones import backbone_names, family_of
from segrepro.models.blocks import LayerMaker
from segrepro.models.deeplabv3 import ASPP_BATCH_NORM_EPSILON, deeplabv3_head
from segrepro.models.deeplabv3plus import deeplabv3plus_head
from segrepro.models.geometry import OUTPUT_STRIDES, aspp_rates_at
from segrepro.models.layers import NORMALISATIONS, RESIZE_MODES, Normalise
from segrepro.models.weights import load_backbone_weights

__all__ = ["ARCHITECTURES", "DEEPLABV3PLUS_DEFAULTS", "DEEPLABV3_DEFAULTS", "build_network", "load_backbone_weights"]

# What a description of DeepLabv3 may hold, and what holds where it is silent (the report's network, but for
# the multi-grid, which its code lost). None: what the variant says.
DEEPLABV3_DEFAULTS: dict[str, Any] = {
    "architecture": "deeplabv3",
    "backbone": "resnet_v2_101",  # see backbones.FAMILIES
    "variant": None,  # of the backbone: keras | slim | released; None: the backbone's own
    "features": None,  # post_norm | raw_sum, see resnet_v2.FEATURES; other backbones have no choice
    "output_stride": 16,  # pixels; 8, 16 or 32
    "multi_grid": (1, 2, 4),  # factors on the rates of the last block's units
    "aspp_channels": 256,
    "aspp_rates": (6, 12, 18),  # at output stride 16; doubled at 8
    "batch_norm_decay": 0.9997,
    "batch_norm_epsilon": None,  # a number reaches every batch norm of backbone and head
    "normalisation": None,  # see layers.NORMALISATIONS
    "dropout": 0.0,
    "resize": "legacy",  # of the logits, see layers.RESIZE_MODES
}

# The same for DeepLabv3+: the released Xception-65. The paper's ResNet-101 has multi-grid (1, 2, 4) and no
# separable convolutions.
DEEPLABV3PLUS_DEFAULTS: dict[str, Any] = {
    **DEEPLABV3_DEFAULTS,
    "architecture": "deeplabv3plus",
    "backbone": "xception_65",
    "multi_grid": (1, 1, 1),
    "low_level_channels": 48,  # that the decoder reduces the backbone's features at stride 4 to
    "decoder_channels": 256,
    "separable": True,  # 3x3 convolutions of ASPP and decoder
    "dropout": 0.1,  # of the encoder's features, before the decoder
    "resize": "align_corners",  # inside the network, and of the logits
}


def _one_of(network: Mapping[str, Any], key: str, choices: Collection) -> Any:
    if network[key] not in choices:
        listing = ", ".join(str(choice) for choice in choices)
        raise UserError(f"network.{key} is {network[key]!r}: use one of {listing}.")
    return network[key]


def _positive_integers(network: Mapping[str, Any], key: str) -> tuple[int, ...]:
    values = network[key]
    if isinstance(values, str) or not all(isinstance(v, int) and v > 0 for v in values):
        raise UserError(f"network.{key} is {values!r}: give a list of positive whole numbers.")
    return tuple(values)


def _complete(network: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(network) - set(defaults))
    if unknown:
        raise UserError(f"network.{unknown[0]} is unknown: a network may hold {', '.join(defaults)}.")
    return {**defaults, **network}


def _multi_grid(network: Mapping[str, Any], units: int) -> tuple[int, ...]:
    factors = _positive_integers(network, "multi_grid")
    if len(factors) != units:
        raise UserError(
            f"network.multi_grid has {len(factors)} factors, but the last block of {network['backbone']} has "
            f"{units} units: give one factor a unit."
        )
    return factors


class _Backbone(NamedTuple):
    """A backbone as built: its input, its taps, and the maker of the head's layers."""

    pictures: KerasTensor
    taps: dict[str, KerasTensor]
    make: LayerMaker


def _backbone(network: Mapping[str, Any], seed: int) -> _Backbone:
    family = family_of(_one_of(network, "backbone", backbone_names()))
    shape = family.shapes[network["backbone"]]
    network = {**network, "variant": network["variant"] or family.default_variant}
    variant = family.variants[_one_of(network, "variant", family.variants)]
    if network["features"] is not None:
        if not family.features:
            raise UserError(f"network.features has no meaning for {network['backbone']}: remove it.")
        _one_of(network, "features", family.features)
    network["normalisation"] = network["normalisation"] or variant.normalisation
    given, decay = network["batch_norm_epsilon"], network["batch_norm_decay"]

    pictures = keras.Input((None, None, 3), name="picture")
    taps = family.build(
        Normalise(_one_of(network, "normalisation", NORMALISATIONS), name="normalise")(pictures),
        LayerMaker(seed, decay, variant.epsilon if given is None else given),
        shape,
        variant,
        output_stride=_one_of(network, "output_stride", OUTPUT_STRIDES),
        multi_grid=_multi_grid(network, family.grid_units(shape)),
        features=network["features"],
    )
    head_epsilon = ASPP_BATCH_NORM_EPSILON if given is None else given
    initializer = "glorot" if network["architecture"] == "deeplabv3plus" else "slim"
    return _Backbone(pictures, taps, LayerMaker(seed, decay, head_epsilon, initializer))


def _head_options(network: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
    """Return what the heads of both architectures are told alike."""
    return {
        "num_classes": num_classes,
        "channels": network["aspp_channels"],
        "rates": aspp_rates_at(_positive_integers(network, "aspp_rates"), network["output_stride"]),
        "dropout": network["dropout"],
        "resize": _one_of(network, "resize", RESIZE_MODES),
    }


def _deeplabv3(network: Mapping[str, Any], num_classes: int, seed: int) -> keras.Model:
    network = _complete(network, DEEPLABV3_DEFAULTS)
    backbone = _backbone(network, seed)
    logits = deeplabv3_head(backbone.taps["features"], backbone.make, **_head_options(network, num_classes))
    return keras.Model(backbone.pictures, logits, name=f"deeplabv3_{network['backbone']}")


def _deeplabv3plus(network: Mapping[str, Any], num_classes: int, seed: int) -> keras.Model:
    network = _complete(network, DEEPLABV3PLUS_DEFAULTS)
    backbone = _backbone(network, seed)
    logits = deeplabv3plus_head(
        backbone.taps["features"],
        backbone.taps["low_level"],
        backbone.make,
        low_level_channels=network["low_level_channels"],
        decoder_channels=network["decoder_channels"],
        separable=network["separable"],
        **_head_options(network, num_classes),
    )
    return keras.Model(backbone.pictures, logits, name=f"deeplabv3plus_{network['backbone']}")


ARCHITECTURES: dict[str, Callable[[Mapping[str, Any], int, int], keras.Model]] = {
    "deeplabv3": _deeplabv3,
    "deeplabv3plus": _deeplabv3plus,
}


def build_network(network: Mapping[str, Any], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Build a network from its description.

    The same description and seed give the same initial weights, bit for bit. Variables and their order do not
    depend on output stride, rates or variant: ``other.set_weights(model.get_weights())`` moves a trained model
    to another output stride.

    Args:
        network: the description; keys and defaults of ``DEEPLABV3_DEFAULTS`` or
            ``DEEPLABV3PLUS_DEFAULTS``, by its ``architecture`` (default deeplabv3).
        num_classes: classes, background included.
        seed: of the initial weights.

    Returns:
        A Keras model, see the module's docstring.

    Raises:
        UserError: a key is unknown, or a value impossible.
    """
    named = {"architecture": "deeplabv3", **network}
    return ARCHITECTURES[_one_of(named, "architecture", ARCHITECTURES)](named, num_classes, seed)
