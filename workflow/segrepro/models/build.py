"""Networks by description: a section of the config's ``networks`` becomes a Keras model.

A model takes RGB pictures, uint8 or float32 0..255, (batch, height, width, 3) of any size, and gives logits,
float32, (batch, ceil(height / stride), ceil(width / stride), classes): ``deeplabv3`` at its output stride,
``deeplabv3plus`` at stride 4, ``fcn`` and ``deconvnet`` at stride 1 (the latter of sides that are
multiples of 32). Normalisation is a layer of the model; resizing the logits to the picture is the reader's business,
by ``layers.resize_bilinear`` in the network's ``resize`` mode.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import keras
from keras import KerasTensor

from segrepro.config.networks import DeconvNet, DeepLab, DeepLabV3, DeepLabV3Plus, Fcn, Network
from segrepro.geometry import aspp_rates_at
from segrepro.models.backbones import family_of
from segrepro.models.blocks import LayerMaker
from segrepro.models.deconvnet import BATCH_NORM_OFFSET, deconvnet_head
from segrepro.models.deeplabv3 import ASPP_BATCH_NORM_EPSILON, deeplabv3_head
from segrepro.models.deeplabv3plus import deeplabv3plus_head
from segrepro.models.fcn import fcn_head
from segrepro.models.layers import Normalise
from segrepro.models.vgg16 import VGG16_SHAPES, vgg16


class _Backbone(NamedTuple):
    """A backbone as built: its input, its taps, and the maker of the head's layers."""

    pictures: KerasTensor
    taps: dict[str, KerasTensor]
    make: LayerMaker


def _backbone(network: DeepLab, seed: int, initializer: str) -> _Backbone:
    family = family_of(network.backbone)
    variant = family.variants[network.variant]
    given, decay = network.batch_norm_epsilon, network.batch_norm_decay
    pictures = keras.Input((None, None, 3), name="picture")
    taps = family.build(
        Normalise(network.normalisation, name="normalise")(pictures),
        LayerMaker(seed, decay, variant.epsilon if given is None else given),
        family.shapes[network.backbone],
        variant,
        output_stride=network.output_stride,
        multi_grid=tuple(network.multi_grid),
        features=network.features,
    )
    head_epsilon = ASPP_BATCH_NORM_EPSILON if given is None else given
    return _Backbone(pictures, taps, LayerMaker(seed, decay, head_epsilon, initializer))


def _head_options(network: DeepLab, num_classes: int) -> dict[str, Any]:
    """Return what the heads of both architectures are told alike."""
    return {
        "num_classes": num_classes,
        "channels": network.aspp_channels,
        "rates": aspp_rates_at(tuple(network.aspp_rates), network.output_stride),
        "dropout": network.dropout,
        "resize": network.resize,
    }


def _deeplabv3(network: DeepLabV3, num_classes: int, seed: int) -> keras.Model:
    backbone = _backbone(network, seed, "slim")
    logits = deeplabv3_head(backbone.taps["features"], backbone.make, **_head_options(network, num_classes))
    return keras.Model(backbone.pictures, logits, name=f"deeplabv3_{network.backbone}")


def _deeplabv3plus(network: DeepLabV3Plus, num_classes: int, seed: int) -> keras.Model:
    backbone = _backbone(network, seed, "glorot")
    logits = deeplabv3plus_head(
        backbone.taps["features"],
        backbone.taps["low_level"],
        backbone.make,
        low_level_channels=network.low_level_channels,
        decoder_channels=network.decoder_channels,
        separable=network.separable,
        **_head_options(network, num_classes),
    )
    return keras.Model(backbone.pictures, logits, name=f"deeplabv3plus_{network.backbone}")


def _fcn(network: Fcn, num_classes: int, seed: int) -> keras.Model:
    make = LayerMaker(seed, network.batch_norm_decay, network.batch_norm_epsilon)
    pictures = keras.Input((None, None, 3), name="picture")
    taps = vgg16(
        Normalise(network.normalisation, name="normalise")(pictures),
        make,
        shape=VGG16_SHAPES[network.backbone],
        batch_norm=network.batch_norm == "all",
        first_padding=max(1, network.input_padding),
    )
    logits = fcn_head(
        taps,
        pictures,
        make,
        num_classes=num_classes,
        skip_stride=network.skip_stride,
        fc_channels=network.fc_channels,
        fc6_kernel=network.fc6_kernel,
        input_padding=network.input_padding,
        dropout=network.dropout,
        upsampling=network.upsampling,
        at_once=network.at_once,
        batch_norm=network.batch_norm != "none",
    )
    return keras.Model(pictures, logits, name=f"fcn{network.skip_stride}s_{network.backbone}")


def _deconvnet(network: DeconvNet, num_classes: int, seed: int) -> keras.Model:
    shape = VGG16_SHAPES[network.backbone]
    make = LayerMaker(seed, network.batch_norm_decay, network.batch_norm_epsilon, batch_norm_offset=BATCH_NORM_OFFSET)
    pictures = keras.Input((None, None, 3), name="picture")
    normalised = Normalise(network.normalisation, name="normalise")(pictures)
    logits = deconvnet_head(
        vgg16(normalised, make, shape=shape, batch_norm=True),
        replace(make, initializer=float(network.initial_deviation)),
        num_classes=num_classes,
        shape=shape,
        input_size=network.input_size,
        fc_channels=network.fc_channels,
    )
    return keras.Model(pictures, logits, name=f"deconvnet_{network.backbone}")


ARCHITECTURES: dict[type, Callable[[Any, int, int], keras.Model]] = {
    DeepLabV3: _deeplabv3,
    DeepLabV3Plus: _deeplabv3plus,
    Fcn: _fcn,
    DeconvNet: _deconvnet,
}


def build_network(network: Network, num_classes: int, *, seed: int = 0) -> keras.Model:
    """Build a network from its description.

    The same description and seed give the same initial weights, bit for bit. Variables and their order do not
    depend on output stride, rates or variant: ``other.set_weights(model.get_weights())`` moves a trained model
    to another output stride.

    Args:
        network: the description, a section of `segrepro.config.networks`.
        num_classes: classes, background included.
        seed: of the initial weights.

    Returns:
        A Keras model, see the module's docstring.
    """
    return ARCHITECTURES[type(network)](network, num_classes, seed)
