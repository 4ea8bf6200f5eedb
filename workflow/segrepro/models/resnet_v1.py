"""ResNet-v1 (He et al. 2015, arXiv 1512.03385) with an output stride of 8, 16 or 32 by dilation.

Layer names, variable shapes and graph are those of ``keras.applications`` (``conv1_conv``, ``conv1_bn``,
``conv2_block1_0_conv``, ...), whose weights were converted from the authors' Caffe models: post-activated
bottlenecks, every convolution with a bias, and a block's stride in the first 1x1 convolution and the shortcut of
its FIRST unit. DeepLab's own TF checkpoints (``resnet_v1_101_beta``) are another network: a root of three 3x3
convolutions, no biases, strides in the 3x3 of a block's last unit.
"""

import keras
from keras import KerasTensor

from segrepro.models.blocks import LayerMaker
from segrepro.models.resnet_v2 import ResNetShape, UnitPlan, plan_units

RESNET_V1 = {
    # He et al. 2015, table 1.
    "resnet_v1_50": ResNetShape(units=(3, 4, 6, 3)),
    "resnet_v1_101": ResNetShape(units=(3, 4, 23, 3)),
    "resnet_v1_152": ResNetShape(units=(3, 8, 36, 3)),
    # Ours, for the sample.
    "resnet_v1_tiny": ResNetShape(units=(2, 2, 2, 3), widths=(16, 32, 64, 96), root_filters=32, root_kernel=3),
}


EPSILON = 1.001e-5  # of the batch norms of keras.applications


def _unit(x: KerasTensor, make: LayerMaker, plan: UnitPlan) -> KerasTensor:
    """One bottleneck: 1x1 (strided), 3x3 (dilated), 1x1, plus the shortcut, then ReLU."""
    name, channels = plan.name, 4 * plan.width
    shortcut = x
    if plan.is_first:
        shortcut = make.convolution(x, f"{name}_0_conv", channels, stride=plan.stride, bias=True)
        shortcut = make.norm(shortcut, f"{name}_0_bn")
    y = make.convolution_norm_relu(x, f"{name}_1", plan.width, stride=plan.stride, bias=True)
    y = make.convolution_norm_relu(y, f"{name}_2", plan.width, 3, rate=plan.rate, bias=True)
    y = make.norm(make.convolution(y, f"{name}_3_conv", channels, bias=True), f"{name}_3_bn")
    y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
    return keras.layers.Activation("relu", name=f"{name}_out")(y)


def resnet_v1(
    x: KerasTensor, make: LayerMaker, *, shape: ResNetShape, output_stride: int, multi_grid: tuple[int, ...]
) -> dict[str, KerasTensor]:
    """Build the network on normalised pictures, (batch, height, width, 3).

    ``shape`` is an entry of ``RESNET_V1``; the other arguments are those of `segrepro.models.resnet_v2.plan_units`.

    Returns:
        The output of every unit by its layer name; ``low_level``, the output of block 1 (stride 4); and
        ``features``: (batch, ceil(height / output_stride), ceil(width / output_stride), 4 * widths[3]).
    """
    x = make.convolution_norm_relu(x, "conv1", shape.root_filters, shape.root_kernel, stride=2, bias=True)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    taps = {}
    for plan in plan_units(shape, output_stride=output_stride, multi_grid=multi_grid, strided="first"):
        x = _unit(x, make, plan)
        taps[f"{plan.name}_out"] = x
    taps["low_level"] = taps[f"conv2_block{shape.units[0]}_out"]
    taps["features"] = x
    return taps
