"""Modified aligned Xception (Chen et al. 2018, arXiv 1802.02611, figure 4) with an output stride of 8, 16 or 32.

The graph is that of the DeepLab release. A module is three separable convolutions, each with batch norm after
its depthwise and its pointwise part, plus a shortcut; a module's stride sits in the depthwise part of its third.
All but the last module have a ReLU before each separable convolution and none within; the last has none before,
and one after each batch norm. Nothing has a bias.

A layer's name is the release's variable scope with dots for slashes (Keras allows none), without the network's
own name, and with ``_conv`` or ``_bn`` behind: ``entry_flow.block1.unit_1.xception_module.shortcut_conv`` holds
``xception_65/entry_flow/block1/unit_1/xception_module/shortcut/weights``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import keras
from keras import KerasTensor

from segrepro.models.blocks import LayerMaker, strides_and_rates

ROOT_STRIDE = 2
# Batch norm before any ReLU, the last features at stride 4: what the release's decoder reads.
LOW_LEVEL = "entry_flow.block2.unit_1.xception_module.separable_conv2_pointwise"
# Standard deviation of all kernels in the release's training from scratch (truncated normal).
INITIAL_DEVIATION = 0.09

Depths = tuple[int, int, int]


@dataclass(frozen=True)
class XceptionShape:
    """What tells one Xception from another.

    ``Depths`` are the channels of a module's three separable convolutions.
    """

    root: tuple[int, int]  # channels of the two 3x3 convolutions at the start, the first of stride 2
    entry: tuple[Depths, Depths, Depths]  # each block has stride 2
    middle_units: int  # modules of the middle flow, of the width that the entry flow ends with
    exit: tuple[Depths, Depths]  # one of stride 2, and one without shortcut


XCEPTION = {
    "xception_65": XceptionShape(
        root=(32, 64),
        entry=((128,) * 3, (256,) * 3, (728,) * 3),
        middle_units=16,
        exit=((728, 1024, 1024), (1536, 1536, 2048)),
    ),
    # Ours, for the sample: 97-pixel crops on a CPU. Each kind of module is in it once at least.
    "xception_tiny": XceptionShape(
        root=(16, 32),
        entry=((32,) * 3, (64,) * 3, (96,) * 3),
        middle_units=1,
        exit=((96, 96, 96), (96, 96, 128)),
    ),
}


EPSILON = 1e-3  # of the batch norms of the release


class ModulePlan(NamedTuple):
    """One module: ``scope`` of its layers, depths, strides and rates of its three separable convolutions.

    ``shortcut``: ``conv`` (1x1, batch norm, no ReLU, from the raw input), ``sum`` (the raw input) or ``none``.
    ``relu_within``: after the batch norms, instead of before the depthwise convolutions.
    """

    scope: str
    depths: Depths
    shortcut: str
    stride: int
    rates: tuple[int, int, int]
    relu_within: bool


def plan_modules(
    shape: XceptionShape, *, output_stride: int, multi_grid: tuple[int, ...] = (1, 1, 1)
) -> Iterator[ModulePlan]:
    """Place strides and dilation rates (`segrepro.models.blocks.strides_and_rates`).

    OS 16 has the last exit block at rate 2; OS 8 has the middle flow and the first exit block at rate 2 and the last at
    rate 4. ``multi_grid`` are factors on the rates of the last module's three convolutions; the paper found no use for
    them, and the released checkpoints have (1, 1, 1).
    """
    middle = (shape.entry[-1][-1],) * 3
    modules = [
        *((f"entry_flow.block{n}.unit_1", depths, "conv", 2) for n, depths in enumerate(shape.entry, start=1)),
        *((f"middle_flow.block1.unit_{n}", middle, "sum", 1) for n in range(1, shape.middle_units + 1)),
        ("exit_flow.block1.unit_1", shape.exit[0], "conv", 2),
        ("exit_flow.block2.unit_1", shape.exit[1], "none", 1),
    ]
    nominal = [stride for *_, stride in modules]
    placed = strides_and_rates(nominal, stride_so_far=ROOT_STRIDE, output_stride=output_stride)
    for (scope, depths, shortcut, _), (stride, rate, _) in zip(modules, placed, strict=True):
        is_last = shortcut == "none"
        yield ModulePlan(
            scope=f"{scope}.xception_module",
            depths=depths,
            shortcut=shortcut,
            stride=stride,
            rates=tuple(rate * factor for factor in multi_grid) if is_last else (rate,) * 3,
            relu_within=is_last,
        )


def xception_module(x: KerasTensor, make: LayerMaker, plan: ModulePlan) -> tuple[KerasTensor, list[KerasTensor]]:
    """Build one module on (batch, height, width, channels); return its output, and its separable convolutions'."""
    y, convolved = x, []
    for number, (depth, rate) in enumerate(zip(plan.depths, plan.rates, strict=True), start=1):
        prefix = f"{plan.scope}.separable_conv{number}"
        if not plan.relu_within:
            y = keras.layers.Activation("relu", name=f"{prefix}_relu")(y)
        stride = plan.stride if number == 3 else 1
        y = make.separable_convolution(y, prefix, depth, stride=stride, rate=rate, relu=plan.relu_within)
        convolved.append(y)
    if plan.shortcut == "none":
        return y, convolved
    if plan.shortcut == "conv":
        prefix = f"{plan.scope}.shortcut"
        x = make.convolution(x, f"{prefix}_conv", plan.depths[-1], stride=plan.stride)
        x = make.norm(x, f"{prefix}_bn")
    return keras.layers.Add(name=f"{plan.scope}_add")([y, x]), convolved


def xception(
    x: KerasTensor, make: LayerMaker, *, shape: XceptionShape, output_stride: int, multi_grid: tuple[int, ...]
) -> dict[str, KerasTensor]:
    """Build the network on normalised pictures, (batch, height, width, 3).

    ``make``'s initializer gives way to the release's; the other arguments are those of `plan_modules`.

    Returns:
        The output of every module by its scope, ``low_level`` (stride 4) and ``features``: (batch,
        ceil(height / output_stride), ceil(width / output_stride), channels of the last module).
    """
    make = replace(make, initializer=INITIAL_DEVIATION)
    x = make.convolution_norm_relu(x, "entry_flow.conv1_1", shape.root[0], 3, stride=2)
    x = make.convolution_norm_relu(x, "entry_flow.conv1_2", shape.root[1], 3)
    taps = {}
    for plan in plan_modules(shape, output_stride=output_stride, multi_grid=multi_grid):
        x, convolved = xception_module(x, make, plan)
        taps[plan.scope] = x
        if LOW_LEVEL.startswith(plan.scope):
            taps["low_level"] = convolved[1]
    taps["features"] = x
    return taps
