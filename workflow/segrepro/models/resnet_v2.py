"""ResNet-v2 (He et al. 2016, arXiv 1603.05027) with an output stride of 8, 16 or 32 by dilation.

Layer names and variable shapes are those of ``keras.applications`` (``conv1_conv``, ``conv2_block1_preact_bn``,
..., ``post_bn``), whose weights were converted from TF-slim's. The graph is that of both, too: the root is a
biased convolution without batch norm or ReLU; units are pre-activated bottlenecks; the shortcut convolution of
a block's first unit reads the pre-activated input, the other units add the raw one; and a block's stride sits
in its LAST unit. Where the two differ, ``VARIANTS`` says how.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import keras
from keras import KerasTensor

from segrepro.models.blocks import LayerMaker, strides_and_rates
from segrepro.models.layers import UnreadBatchNormalization

ROOT_STRIDE = 4


@dataclass(frozen=True)
class ResNetShape:
    """What tells one ResNet from another of the same version.

    The root is a convolution of stride 2, before the 3x3 max pooling of stride 2.
    """

    units: tuple[int, int, int, int]  # in each of the four blocks; the first unit of a block changes the channels
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)  # of the bottlenecks; a block gives four times as many
    root_filters: int = 64
    root_kernel: int = 7


RESNET_V2 = {
    # He et al. 2016, table 1.
    "resnet_v2_50": ResNetShape(units=(3, 4, 6, 3)),
    "resnet_v2_101": ResNetShape(units=(3, 4, 23, 3)),
    "resnet_v2_152": ResNetShape(units=(3, 8, 36, 3)),
    # Ours, for the sample: 96-pixel crops on a CPU. Three units in the last block take any multi-grid.
    "resnet_v2_tiny": ResNetShape(units=(1, 1, 2, 3), widths=(16, 32, 48, 64), root_filters=32, root_kernel=3),
}


class Variant(NamedTuple):
    """Where Keras' port and TF-slim's graph differ, the epsilon of the batch norms among it.

    Attributes:
        pool_padding: ``zeros``: one zero on each side, then valid (zeros compete: no ReLU came before);
            ``same``: TF's padding, which never wins, and lies on one side only where the extent is even.
        features: what the network hands on: ``post_norm``, after the final batch norm and ReLU, as published; or
            ``raw_sum``, the last unit's sum before it, which the report's DeepLabv3 code read (the norm's variables
            stay in the model, unread).
    """

    epsilon: float
    pool_padding: str
    features: str


VARIANTS = {
    "keras": Variant(epsilon=1.001e-5, pool_padding="zeros", features="post_norm"),
    "slim": Variant(epsilon=1e-5, pool_padding="same", features="raw_sum"),
}


class UnitPlan(NamedTuple):
    """Stride and dilation rate of one unit's 3x3 convolution; ``name`` as in Keras: ``conv4_block23``."""

    name: str
    width: int
    is_first: bool
    stride: int
    rate: int


def plan_units(
    shape: ResNetShape, *, output_stride: int, multi_grid: tuple[int, ...], strided: str = "last"
) -> Iterator[UnitPlan]:
    """Place strides and dilation rates (`segrepro.models.blocks.strides_and_rates`).

    A ResNet-v2 halves the map in the last units of blocks 1 to 3; a ResNet-v1 in the first ones of blocks 2 to 4,
    before their 3x3 convolution, which is dilated as what follows. OS 16 has block 4 at rate 2, OS 8 has block 3 at
    rate 2 and block 4 at rate 4.

    Args:
        shape: units and widths.
        output_stride: 8, 16 or 32, in pixels.
        multi_grid: factors on the rates of block 4's units: (1, 2, 4) in the DeepLabv3 paper, (1, 1, 1) in
            effect in the report's code.
        strided: ``last`` or ``first``: the units that halve the map.
    """
    units = [(block, unit) for block, count in enumerate(shape.units, 1) for unit in range(1, count + 1)]
    if strided == "last":
        halving = {(block, shape.units[block - 1]) for block in (1, 2, 3)}
    else:
        halving = {(block, 1) for block in (2, 3, 4)}
    nominal = [2 if unit in halving else 1 for unit in units]
    placed = strides_and_rates(nominal, stride_so_far=ROOT_STRIDE, output_stride=output_stride)
    for (block, unit), (stride, before, behind) in zip(units, placed, strict=True):
        rate = before if strided == "last" else behind
        yield UnitPlan(
            name=f"conv{block + 1}_block{unit}",
            width=shape.widths[block - 1],
            is_first=unit == 1,
            stride=stride,
            rate=rate * (multi_grid[unit - 1] if block == 4 else 1),
        )


def _root(x: KerasTensor, make: LayerMaker, shape: ResNetShape, pool_padding: str) -> KerasTensor:
    """Stride 4: a biased strided convolution, then 3x3 max pooling of stride 2."""
    x = make.convolution(x, "conv1_conv", shape.root_filters, shape.root_kernel, stride=2, bias=True)
    if pool_padding == "zeros":
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    padding = "valid" if pool_padding == "zeros" else "same"
    return keras.layers.MaxPooling2D(3, strides=2, padding=padding, name="pool1_pool")(x)


def _unit(x: KerasTensor, make: LayerMaker, plan: UnitPlan) -> KerasTensor:
    """One pre-activated bottleneck: 1x1, 3x3 (strided, dilated), 1x1, plus the shortcut; no ReLU after."""
    name, channels = plan.name, 4 * plan.width
    preactivated = make.norm_relu(x, f"{name}_preact")
    if plan.is_first:
        shortcut = make.convolution(preactivated, f"{name}_0_conv", channels, stride=plan.stride, bias=True)
    elif plan.stride > 1:
        shortcut = keras.layers.MaxPooling2D(1, strides=plan.stride, name=f"{name}_subsample")(x)
    else:
        shortcut = x
    y = make.convolution_norm_relu(preactivated, f"{name}_1", plan.width)
    y = make.convolution_norm_relu(y, f"{name}_2", plan.width, 3, stride=plan.stride, rate=plan.rate)
    y = make.convolution(y, f"{name}_3_conv", channels, bias=True)
    return keras.layers.Add(name=f"{name}_out")([shortcut, y])


def resnet_v2(
    x: KerasTensor,
    make: LayerMaker,
    *,
    shape: ResNetShape,
    output_stride: int,
    multi_grid: tuple[int, ...],
    pool_padding: str,
    features: str,
) -> dict[str, KerasTensor]:
    """Build the network on normalised pictures, (batch, height, width, 3).

    ``shape`` is an entry of ``RESNET_V2``; the other arguments are those of `plan_units` and of `Variant`.

    Returns:
        The output of every unit by its layer name; ``low_level``, the last of stride 4 (``conv2_block2_out``, or
        the root's where block 1 has but one unit); and ``features``: (batch, ceil(height / output_stride),
        ceil(width / output_stride), 4 * widths[3]).
    """
    x = _root(x, make, shape, pool_padding)
    taps = {"low_level": x}
    for plan in plan_units(shape, output_stride=output_stride, multi_grid=multi_grid):
        x = _unit(x, make, plan)
        taps[f"{plan.name}_out"] = x
        if plan.name == f"conv2_block{shape.units[0] - 1}":
            taps["low_level"] = x
    if features == "post_norm":
        taps["features"] = make.norm_relu(x, "post")
    else:
        taps["features"] = make.norm(x, "post_bn", layer=UnreadBatchNormalization)
    return taps
