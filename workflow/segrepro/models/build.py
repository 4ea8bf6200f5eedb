"""Networks by description: a plain mapping, as a model's spec holds it, becomes a Keras model.

A model takes RGB pictures, uint8 or float32 0..255, (batch, height, width, 3) of any size, and gives logits,
float32, (batch, ceil(height / output_stride), ceil(width / output_stride), classes). Normalisation is a layer
of the model; resizing the logits to the picture is the reader's business, by ``layers.resize_bilinear`` in the
network's ``resize`` mode.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras

from segrepro.errors import UserError
from segrepro.models.blocks import LayerMaker
from segrepro.models.deeplabv3 import ASPP_BATCH_NORM_EPSILON, deeplabv3_head
from segrepro.models.geometry import OUTPUT_STRIDES, aspp_rates_at
from segrepro.models.layers import NORMALISATIONS, RESIZE_MODES, Normalise
from segrepro.models.resnet_v2 import FEATURES, RESNET_V2, VARIANTS, resnet_v2
from segrepro.models.weights import load_backbone_weights

__all__ = ["ARCHITECTURES", "BACKBONES", "DEEPLABV3_DEFAULTS", "build_network", "load_backbone_weights"]

# What a description of DeepLabv3 may hold, and what holds where it is silent (the report's network, but for
# the multi-grid, which its code lost). None: what the variant says.
DEEPLABV3_DEFAULTS: dict[str, Any] = {
    "architecture": "deeplabv3",
    "backbone": "resnet_v2_101",
    "variant": "slim",  # keras | slim, see resnet_v2.VARIANTS
    "features": None,  # post_norm | raw_sum, see resnet_v2.FEATURES
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

BACKBONES = {**RESNET_V2}


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


def _deeplabv3(network: Mapping[str, Any], num_classes: int, seed: int) -> keras.Model:
    network = _complete(network, DEEPLABV3_DEFAULTS)
    shape = RESNET_V2[_one_of(network, "backbone", RESNET_V2)]
    variant = VARIANTS[_one_of(network, "variant", VARIANTS)]
    network["features"] = network["features"] or variant.features
    network["normalisation"] = network["normalisation"] or variant.normalisation
    output_stride = _one_of(network, "output_stride", OUTPUT_STRIDES)
    epsilon = network["batch_norm_epsilon"]
    backbone_epsilon = variant.epsilon if epsilon is None else epsilon
    head_epsilon = ASPP_BATCH_NORM_EPSILON if epsilon is None else epsilon

    pictures = keras.Input((None, None, 3), name="picture")
    taps = resnet_v2(
        Normalise(_one_of(network, "normalisation", NORMALISATIONS), name="normalise")(pictures),
        LayerMaker(seed, network["batch_norm_decay"], backbone_epsilon),
        shape=shape,
        output_stride=output_stride,
        multi_grid=_multi_grid(network, shape.units[-1]),
        pool_padding=variant.pool_padding,
        features=_one_of(network, "features", FEATURES),
    )
    logits = deeplabv3_head(
        taps["features"],
        LayerMaker(seed, network["batch_norm_decay"], head_epsilon),
        num_classes=num_classes,
        channels=network["aspp_channels"],
        rates=aspp_rates_at(_positive_integers(network, "aspp_rates"), output_stride),
        dropout=network["dropout"],
        resize=_one_of(network, "resize", RESIZE_MODES),
    )
    return keras.Model(pictures, logits, name=f"deeplabv3_{network['backbone']}")


ARCHITECTURES: dict[str, Callable[[Mapping[str, Any], int, int], keras.Model]] = {"deeplabv3": _deeplabv3}


def build_network(network: Mapping[str, Any], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Build a network from its description.

    The same description and seed give the same initial weights, bit for bit. Variables and their order do not
    depend on output stride, rates or variant: ``other.set_weights(model.get_weights())`` moves a trained model
    to another output stride.

    Args:
        network: the description; keys and defaults of ``DEEPLABV3_DEFAULTS``.
        num_classes: classes, background included.
        seed: of the initial weights.

    Returns:
        A Keras model, see the module's docstring.

    Raises:
        UserError: a key is unknown, or a value impossible.
    """
    named = {"architecture": "deeplabv3", **network}
    return ARCHITECTURES[_one_of(named, "architecture", ARCHITECTURES)](named, num_classes, seed)
