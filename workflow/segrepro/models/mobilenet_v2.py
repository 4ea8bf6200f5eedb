"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) with an output stride of 8, 16 or 32 by dilation.

Without its last convolution (1280 channels), as in the DeepLab release. Layer names are those of
``keras.applications`` (``Conv1``, ``bn_Conv1``, ``expanded_conv_depthwise``, ``block_1_expand_BN``, ...). Strided
layers pad as TF's SAME does: by (0, 1) where the extent is even and by (1, 1) where it is odd. So does the release,
and so does ``keras.applications`` for pictures of a known size, by an explicit padding before a VALID convolution.
(Built for any size, it takes (0, 1) for odd extents too: 65 then becomes 32, where all networks here have 33.)

What tells the variants apart is how a width other than 1 rounds channels, and the first weights.
"""

from dataclasses import replace

import keras
from keras import KerasTensor

from segrepro.models.blocks import LayerMaker, strides_and_rates

ROOT_CHANNELS, ROOT_STRIDE = 32, 2
EXPANSION = 6  # of all blocks but the first, which has none
# Table 2 of the paper, block by block: channels at width 1, nominal stride.
BLOCKS = (
    *((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1)),
    *((96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1)),
)
# The release's decoder reads ``layer_4/depthwise_output``: the last features at stride 4 before they are projected.
LOW_LEVEL_BLOCK = 2
EPSILON = 1e-3  # of the batch norms, in both variants
CHANNELS_OF = 8  # channels are multiples of it, but see `_channels`
# Kernels' first weights: slim's truncated normal of this deviation, or Keras' default.
INITIALIZERS = {"released": 0.09, "keras": "glorot"}


def _divisible(channels: float, by: int) -> int:
    """Round to a multiple, and up where rounding down would take more than a tenth."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


def _channels(at_width_1: int, width: float, variant: str) -> int:
    """Channels of a block: at widths other than 1 the release rounds to whole numbers (24 x 0.5 = 12), Keras to 8."""
    by = 1 if variant == "released" and width != 1 else CHANNELS_OF
    return _divisible(at_width_1 * width, by)


def mobilenet_v2(
    x: KerasTensor, make: LayerMaker, *, width: float, variant: str, output_stride: int
) -> dict[str, KerasTensor]:
    """Build the network on normalised pictures, (batch, height, width, 3).

    ``width`` is a factor of all channels. The initializer of ``make`` gives way to the variant's, its padding to SAME.

    Returns:
        The output of every block by its layer name; ``low_level`` (stride 4); and ``features``: (batch,
        ceil(height / output_stride), ceil(width / output_stride), 320 * width).
    """
    make = replace(make, initializer=INITIALIZERS[variant], strided_padding="same")
    x = make.convolution(x, "Conv1", _channels(ROOT_CHANNELS, width, variant), 3, stride=ROOT_STRIDE)
    x = _relu6(make.norm(x, "bn_Conv1"), "Conv1")
    taps = {}
    nominal = [stride for _, stride in BLOCKS]
    placed = strides_and_rates(nominal, stride_so_far=ROOT_STRIDE, output_stride=output_stride)
    for number, ((channels, _), (stride, rate, _)) in enumerate(zip(BLOCKS, placed, strict=True)):
        name = f"block_{number}" if number else "expanded_conv"
        y = x
        if number:
            y = make.convolution(y, f"{name}_expand", _divisible(EXPANSION * x.shape[-1], CHANNELS_OF))
            y = _relu6(make.norm(y, f"{name}_expand_BN"), f"{name}_expand")
        y = make.depthwise_convolution(y, f"{name}_depthwise", stride=stride, rate=rate)
        y = _relu6(make.norm(y, f"{name}_depthwise_BN"), f"{name}_depthwise")
        if number == LOW_LEVEL_BLOCK:
            taps["low_level"] = y
        y = make.convolution(y, f"{name}_project", _channels(channels, width, variant))
        y = make.norm(y, f"{name}_project_BN")
        x = keras.layers.Add(name=f"{name}_add")([x, y]) if nominal[number] == 1 and x.shape[-1] == y.shape[-1] else y
        taps[name] = x
    taps["features"] = x
    return taps


def _relu6(x: KerasTensor, prefix: str) -> KerasTensor:
    return keras.layers.ReLU(6.0, name=f"{prefix}_relu")(x)
