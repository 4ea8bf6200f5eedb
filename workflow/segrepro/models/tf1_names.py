"""TensorFlow 1's names of our variables: by rule from the names of the layers, importable without TensorFlow.

`LAYOUTS` tells the kinds of checkpoint: TF-slim's ImageNet networks, the DeepLabv3 that report 2 trained on slim's
ResNet-v2-101, and the DeepLab release's DeepLabv3+ on Xception-65 and DeepLabv3 on MobileNetV2. In all of them a
convolution is ``<scope>/weights`` (``<scope>/depthwise_weights``) and maybe ``<scope>/biases``; its batch norm is
``<scope>/BatchNorm/gamma`` and so on.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# What a checkpoint of a training holds besides: the step counter and, below a variable's name, what the optimiser keeps
# for it (Momentum, Adam, RMSProp_1 ..) and the moving average of its values (tf.train.ExponentialMovingAverage).
STEP = "global_step"
AVERAGE = "/ExponentialMovingAverage"
# A moving average need not cover the batch norms' statistics, which are moving averages themselves.
STATISTICS = ("moving_mean", "moving_variance")

RESNET_V2_UNIT = re.compile(r"conv(?P<block>[2-5])_block(?P<unit>\d+)_(?P<part>preact|[0-3])")
RESNET_V2_PARTS = {"preact": "preact", "0": "shortcut", "1": "conv1", "2": "conv2", "3": "conv3"}
RESNET_V2_ENDS = {"conv1": "conv1", "post": "postnorm"}
# Batch norms that belong to no convolution have a scope of their own.
FREE_NORMS = ("preact", "postnorm")

XCEPTION_FLOWS = ("entry_flow.", "middle_flow.", "exit_flow.")

# MobileNetV2's layers are called as in keras.applications.
MOBILENET_LAYER = re.compile(
    r"(bn_)?Conv1|(expanded_conv|block_(?P<block>\d+))_(?P<part>expand|depthwise|project)(_BN)?"
)
MOBILENET_SCOPE = "MobilenetV2"

REPORT_HEAD = {
    "aspp0": "aspp/conv_1x1",
    "aspp1": "aspp/conv_3x3_1",
    "aspp2": "aspp/conv_3x3_2",
    "aspp3": "aspp/conv_3x3_3",
    "image_pooling": "aspp/image_level_features/conv_1x1",
    "concat_projection": "aspp/conv_1x1_concat",
    "logits": "upsampling_logits/conv_1x1",
}
RELEASED_CLASSIFIER = "logits/semantic"
# The classifier that slim's ImageNet checkpoints hold besides, below the network's scope.
IMAGENET_CLASSIFIER = ("logits/weights", "logits/biases")


def _part_and_kind(layer: str) -> tuple[str, str]:
    """Split a layer's name into a part of the network and ``conv`` or ``bn``; a part of MobileNetV2 is its scope."""
    unit = MOBILENET_LAYER.fullmatch(layer)
    if not unit:
        part, _, kind = layer.rpartition("_")
        return part, kind
    kind = "bn" if layer.startswith("bn_") or layer.endswith("_BN") else "conv"
    if not unit["part"]:
        return f"{MOBILENET_SCOPE}/Conv", kind
    number = f"_{unit['block']}" if unit["block"] else ""
    return f"{MOBILENET_SCOPE}/expanded_conv{number}/{unit['part']}", kind


def _backbone_scope(part: str, backbone: str) -> str | None:
    """Return the scope of a part of the backbone (a layer's name without ``_conv`` or ``_bn``); None of another."""
    if backbone.startswith("xception_"):
        return f"{backbone}/{part.replace('.', '/')}" if part.startswith(XCEPTION_FLOWS) else None
    if backbone.startswith("mobilenet_"):
        return part if part.startswith(MOBILENET_SCOPE) else None
    if part in RESNET_V2_ENDS:
        return f"{backbone}/{RESNET_V2_ENDS[part]}"
    if unit := RESNET_V2_UNIT.fullmatch(part):
        scope = f"{backbone}/block{int(unit['block']) - 1}/unit_{unit['unit']}/bottleneck_v2"
        return f"{scope}/{RESNET_V2_PARTS[unit['part']]}"
    return None


def _released_scope(part: str) -> str:
    return RELEASED_CLASSIFIER if part == "logits" else part.replace(".", "/")


@dataclass(frozen=True)
class Layout:
    """A kind of checkpoint.

    ``settings`` are what the spec's network must say, or leave to its variant (None), for the imported network to
    compute what the original did; one or more values for a key.
    """

    backbones: tuple[str, ...]  # what the names of the backbones begin with that may be in it
    architecture: str | None  # of the whole network; None where the checkpoint holds a backbone only
    head_scope: Callable[[str], str | None]  # scope of a part of the head, None where there is no such part
    ignored: tuple[str, ...]  # variables below the backbone's scope that no network here has
    settings: Mapping[str, tuple[Any, ...]]

    def tf1_name(self, layer: str, variable: str, *, backbone: str) -> str | None:
        """Return the TF1 name of a layer's variable; None if such checkpoints do not hold it.

        ``backbone`` is the name of the backbone, the scope of its variables.
        """
        part, kind = _part_and_kind(layer)
        scope = _backbone_scope(part, backbone) or self.head_scope(part)
        if scope is None:
            return None
        if kind == "bn":
            return f"{scope}/{variable}" if scope.endswith(FREE_NORMS) else f"{scope}/BatchNorm/{variable}"
        if variable == "bias":
            return f"{scope}/biases"
        return f"{scope}/depthwise_weights" if scope.endswith("depthwise") else f"{scope}/weights"


LAYOUTS = {
    "tf1_slim_imagenet": Layout(
        backbones=("resnet_v2_", "xception_"),
        architecture=None,
        head_scope=lambda part: None,
        ignored=IMAGENET_CLASSIFIER,
        settings={},
    ),
    "tf1_deeplabv3_resnet_v2": Layout(
        backbones=("resnet_v2_",),
        architecture="deeplabv3",
        head_scope=REPORT_HEAD.get,
        ignored=(),
        settings={
            "variant": ("slim",),
            "features": (None, "raw_sum"),
            "multi_grid": ((1, 1, 1),),
            "aspp_rates": ((6, 12, 18),),
            "batch_norm_epsilon": (None, 1e-5),
            "normalisation": ("mean_rgb",),
            "resize": ("legacy",),
        },
    ),
    "tf1_deeplabv3plus_xception": Layout(
        backbones=("xception_",),
        architecture="deeplabv3plus",
        head_scope=_released_scope,
        ignored=(),
        settings={
            "variant": ("released",),
            "multi_grid": ((1, 1, 1),),
            "aspp_rates": ((6, 12, 18),),
            "batch_norm_epsilon": (None,),
            "normalisation": ("keras_tf",),
            "resize": ("align_corners",),
        },
    ),
    "tf1_deeplabv3_mobilenet_v2": Layout(
        backbones=("mobilenet_v2",),
        architecture="deeplabv3",
        head_scope=_released_scope,
        ignored=(),
        settings={
            "variant": ("released",),
            "aspp_rates": ((),),
            "batch_norm_epsilon": (None,),
            "normalisation": ("keras_tf",),
            "resize": ("align_corners",),
        },
    ),
}
