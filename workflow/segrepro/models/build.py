"""Networks by description: a plain mapping, as a model's spec holds it, becomes a Keras model.

A model takes RGB pictures, uint8 or float32 0..255, (batch, height, width, 3) of any size, and gives logits,
float32, (batch, ceil(height / stride), ceil(width / stride), classes): ``deeplabv3`` at its output stride,
``deeplabv3plus`` at stride 4, ``fcn`` and ``deconvnet`` at stride 1 (the latter of sides that are
multiples of 32). Normalisation is a layer of the model; resizing the logits to the picture is the reader's business,
by ``layers.resize_bilinear`` in the network's ``resize`` mode.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import keras
from keras import KerasTensor

from segrepro.errors import UserError
from segrepro.models.backbones import backbone_names, family_of
from segrepro.models.blocks import LayerMaker
from segrepro.models.deconvnet import BATCH_NORM_OFFSET, STRIDE, deconvnet_head
from segrepro.models.deeplabv3 import ASPP_BATCH_NORM_EPSILON, deeplabv3_head
from segrepro.models.deeplabv3plus import deeplabv3plus_head
from segrepro.models.fcn import BATCH_NORMS, SKIPS, UPSAMPLINGS, fcn_head
from segrepro.models.geometry import OUTPUT_STRIDES, aspp_rates_at, fcn_fault
from segrepro.models.layers import NORMALISATIONS, RESIZE_MODES, Normalise
from segrepro.models.vgg16 import VGG16_SHAPES, vgg16
from segrepro.models.weights import load_backbone_weights

__all__ = [
    "ARCHITECTURES",
    "DECONVNET_DEFAULTS",
    "DEEPLABV3PLUS_DEFAULTS",
    "DEEPLABV3_DEFAULTS",
    "FCN_DEFAULTS",
    "build_network",
    "load_backbone_weights",
]

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

# FCN-8s as released.
FCN_DEFAULTS: dict[str, Any] = {
    "architecture": "fcn",
    "backbone": "vgg16",  # a key of VGG16_SHAPES
    "skip_stride": 8,  # pixels of the finest map that is scored: 32, 16 or 8
    "fc_channels": 4096,  # of fc6 and fc7
    "fc6_kernel": 7,  # features of stride 32
    "input_padding": 100,  # pixels; 0: fc6 is padded in place of the picture
    "dropout": 0.5,  # of fc6's and fc7's features
    "upsampling": "bilinear",  # see fcn.UPSAMPLINGS
    "at_once": False,  # whether skips are scaled down
    "batch_norm": "none",  # none | head: after fc6 and fc7 | all: after every convolution but the scores
    "batch_norm_decay": 0.9,
    "batch_norm_epsilon": 1e-5,
    "normalisation": "caffe_ilsvrc",
    "resize": "half_pixel",  # of the logits, where they are stored at a coarser stride
}

# DeconvNet as published; its release has no moving averages, but statistics taken after training.
DECONVNET_DEFAULTS: dict[str, Any] = {
    "architecture": "deconvnet",
    "backbone": "vgg16",  # a key of VGG16_SHAPES; the deconvolutions mirror it
    "input_size": 224,  # side of the crops, pixels, a multiple of 32; fc6's kernel is a 32nd of it
    "fc_channels": 4096,  # of fc6 and fc7
    "initial_deviation": 0.01,  # of the deconvolutions' kernels
    "batch_norm_decay": 0.9,
    "batch_norm_epsilon": 1e-9,
    "normalisation": "caffe_ilsvrc",
    "resize": "half_pixel",  # of the logits, where they are stored at a coarser stride
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


def _check_fcn(network: Mapping[str, Any]) -> None:
    for key, choices in (
        ("backbone", VGG16_SHAPES),
        ("skip_stride", SKIPS),
        ("upsampling", UPSAMPLINGS),
        ("batch_norm", BATCH_NORMS),
        ("normalisation", NORMALISATIONS),
        ("resize", RESIZE_MODES),
    ):
        _one_of(network, key, choices)
    for key in ("fc_channels", "fc6_kernel"):
        _positive_integers({key: [network[key]]}, key)
    fault = fcn_fault(**{key: network[key] for key in ("fc6_kernel", "input_padding", "skip_stride", "at_once")})
    if fault:
        raise UserError(f"network.{' '.join(fault)}.")


def _fcn(network: Mapping[str, Any], num_classes: int, seed: int) -> keras.Model:
    network = _complete(network, FCN_DEFAULTS)
    _check_fcn(network)
    make = LayerMaker(seed, network["batch_norm_decay"], network["batch_norm_epsilon"])
    pictures = keras.Input((None, None, 3), name="picture")
    taps = vgg16(
        Normalise(network["normalisation"], name="normalise")(pictures),
        make,
        shape=VGG16_SHAPES[network["backbone"]],
        batch_norm=network["batch_norm"] == "all",
        first_padding=max(1, network["input_padding"]),
    )
    options = ("skip_stride", "fc_channels", "fc6_kernel", "input_padding", "dropout", "upsampling", "at_once")
    logits = fcn_head(
        taps,
        pictures,
        make,
        num_classes=num_classes,
        batch_norm=network["batch_norm"] != "none",
        **{key: network[key] for key in options},
    )
    return keras.Model(pictures, logits, name=f"fcn{network['skip_stride']}s_{network['backbone']}")


def _deconvnet(network: Mapping[str, Any], num_classes: int, seed: int) -> keras.Model:
    network = _complete(network, DECONVNET_DEFAULTS)
    shape = VGG16_SHAPES[_one_of(network, "backbone", VGG16_SHAPES)]
    _one_of(network, "resize", RESIZE_MODES)
    _positive_integers({"fc_channels": [network["fc_channels"]]}, "fc_channels")
    size = network["input_size"]
    if not isinstance(size, int) or size <= 0 or size % STRIDE:
        raise UserError(f"network.input_size is {size!r}: give a multiple of {STRIDE} pixels.")
    make = LayerMaker(
        seed, network["batch_norm_decay"], network["batch_norm_epsilon"], batch_norm_offset=BATCH_NORM_OFFSET
    )
    pictures = keras.Input((None, None, 3), name="picture")
    normalised = Normalise(_one_of(network, "normalisation", NORMALISATIONS), name="normalise")(pictures)
    logits = deconvnet_head(
        vgg16(normalised, make, shape=shape, batch_norm=True),
        replace(make, initializer=float(network["initial_deviation"])),
        num_classes=num_classes,
        shape=shape,
        input_size=size,
        fc_channels=network["fc_channels"],
    )
    return keras.Model(pictures, logits, name=f"deconvnet_{network['backbone']}")


ARCHITECTURES: dict[str, Callable[[Mapping[str, Any], int, int], keras.Model]] = {
    "deeplabv3": _deeplabv3,
    "deeplabv3plus": _deeplabv3plus,
    "deconvnet": _deconvnet,
    "fcn": _fcn,
}


def build_network(network: Mapping[str, Any], num_classes: int, *, seed: int = 0) -> keras.Model:
    """Build a network from its description.

    The same description and seed give the same initial weights, bit for bit. Variables and their order do not
    depend on output stride, rates or variant: ``other.set_weights(model.get_weights())`` moves a trained model
    to another output stride.

    Args:
        network: the description; keys and defaults of ``DEEPLABV3_DEFAULTS``, ``DEEPLABV3PLUS_DEFAULTS``,
            ``FCN_DEFAULTS`` or ``DECONVNET_DEFAULTS``, by its ``architecture`` (default deeplabv3).
        num_classes: classes, background included.
        seed: of the initial weights.

    Returns:
        A Keras model, see the module's docstring.

    Raises:
        UserError: a key is unknown, or a value impossible.
    """
    named = {"architecture": "deeplabv3", **network}
    return ARCHITECTURES[_one_of(named, "architecture", ARCHITECTURES)](named, num_classes, seed)
