"""Networks by description: a section of the config's ``networks`` becomes a Keras model.

A model takes RGB pictures, uint8 or float32 0..255, (batch, height, width, 3) of any size, and gives logits,
float32, (batch, ceil(height / stride), ceil(width / stride), classes): ``deeplabv3`` at its output stride,
``deeplabv3plus`` at stride 4, ``fcn`` and ``deconvnet`` at stride 1 (the latter of sides that are
multiples of 32). Normalisation is a layer of the model; resizing the logits to the picture is the reader's business,
by ``layers.resize_bilinear`` in the network's ``resize`` mode.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
from keras import KerasTensor

from segrepro.config.networks import DeconvNet, DeepLab, DeepLabV3, DeepLabV3Plus, Fcn, Network
from segrepro.models.blocks import LayerMaker
from segrepro.models.deconvnet import BATCH_NORM_OFFSET, deconvnet_head
from segrepro.models.deeplabv3 import ASPP_BATCH_NORM_EPSILON, deeplabv3_head
from segrepro.models.deeplabv3plus import deeplabv3plus_head
from segrepro.models.fcn import fcn_head
from segrepro.models.layers import Normalise
from segrepro.models.mobilenet_v2 import EPSILON as MOBILENET_EPSILON
from segrepro.models.mobilenet_v2 import mobilenet_v2
from segrepro.models.resnet_v1 import EPSILON as RESNET_V1_EPSILON
from segrepro.models.resnet_v1 import RESNET_V1, resnet_v1
from segrepro.models.resnet_v2 import RESNET_V2, VARIANTS, resnet_v2
from segrepro.models.vgg16 import VGG16_SHAPES, vgg16
from segrepro.models.xception import EPSILON as XCEPTION_EPSILON
from segrepro.models.xception import XCEPTION, xception


def _backbone(network: DeepLab, seed: int, initializer: str) -> tuple[KerasTensor, dict[str, KerasTensor], LayerMaker]:
    """Return the input of a backbone, its taps, and the maker of the head's layers.

    Of the taps ``features`` and ``low_level`` are read. The latter have stride 4 and feed DeepLabv3+'s decoder: for a
    ResNet "Conv2 before striding" (DeepLabv3+ paper, section 3.1), hence the output of block 1's last unit at stride 4,
    ``conv2_block3_out`` of a ResNet-v1 and ``conv2_block2_out`` of a ResNet-v2, whose block 1 halves the map in its
    last unit. (The release's own ResNet graph reads the last convolution of that unit, before the sum.) For Xception
    see ``xception.LOW_LEVEL``, for MobileNetV2 ``mobilenet_v2.LOW_LEVEL_BLOCK``.
    """
    name, given, decay = network.backbone, network.batch_norm_epsilon, network.batch_norm_decay
    options = {"output_stride": network.output_stride, "multi_grid": tuple(network.multi_grid)}
    if name in RESNET_V2:
        variant = VARIANTS[network.variant]
        build, epsilon = resnet_v2, variant.epsilon
        options |= {"pool_padding": variant.pool_padding, "features": network.features or variant.features}
        options["shape"] = RESNET_V2[name]
    elif name in RESNET_V1:
        build, epsilon, options["shape"] = resnet_v1, RESNET_V1_EPSILON, RESNET_V1[name]
    elif name in XCEPTION:
        build, epsilon, options["shape"] = xception, XCEPTION_EPSILON, XCEPTION[name]
    else:
        build, epsilon = mobilenet_v2, MOBILENET_EPSILON
        options = {"width": network.width, "variant": network.variant, "output_stride": network.output_stride}
    make = LayerMaker(seed, decay, epsilon if given is None else given)
    head_epsilon = ASPP_BATCH_NORM_EPSILON if given is None else given
    pictures = keras.Input((None, None, 3), name="picture")
    taps = build(Normalise(network.normalisation, name="normalise")(pictures), make, **options)
    return pictures, taps, LayerMaker(seed, decay, head_epsilon, initializer)


def _deeplabv3(network: DeepLabV3, num_classes: int, seed: int) -> keras.Model:
    pictures, taps, make = _backbone(network, seed, "slim")
    logits = deeplabv3_head(taps["features"], make, network, num_classes)
    return keras.Model(pictures, logits, name=f"deeplabv3_{network.backbone}")


def _deeplabv3plus(network: DeepLabV3Plus, num_classes: int, seed: int) -> keras.Model:
    pictures, taps, make = _backbone(network, seed, "glorot")
    logits = deeplabv3plus_head(taps["features"], taps["low_level"], make, network, num_classes)
    return keras.Model(pictures, logits, name=f"deeplabv3plus_{network.backbone}")


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
    logits = fcn_head(taps, pictures, make, network, num_classes)
    return keras.Model(pictures, logits, name=f"fcn{network.skip_stride}s_{network.backbone}")


def _deconvnet(network: DeconvNet, num_classes: int, seed: int) -> keras.Model:
    make = LayerMaker(seed, network.batch_norm_decay, network.batch_norm_epsilon, batch_norm_offset=BATCH_NORM_OFFSET)
    pictures = keras.Input((None, None, 3), name="picture")
    normalised = Normalise(network.normalisation, name="normalise")(pictures)
    taps = vgg16(normalised, make, shape=VGG16_SHAPES[network.backbone], batch_norm=True)
    make = replace(make, initializer=float(network.initial_deviation))
    logits = deconvnet_head(taps, make, network, num_classes)
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
    depend on output stride or rates: ``other.set_weights(model.get_weights())`` moves a trained model
    to another output stride. Classes are counted with background.
    """
    return ARCHITECTURES[type(network)](network, num_classes, seed)
