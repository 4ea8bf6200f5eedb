"""VGG16 without its classifier (Simonyan and Zisserman, arXiv 1409.1556, configuration D), and a tiny twin.

Five blocks of 3x3 convolutions with biases, each followed by 2x2 max pooling of stride 2. Layers have the names of
``keras.applications.VGG16`` (``block1_conv1`` .. ``block5_conv3``, ``block1_pool`` .. ``block5_pool``), so that its
weights load by name; ReLU is a layer of its own, since a batch norm may stand before it.
"""

from dataclasses import dataclass

import keras
from keras import KerasTensor

from segrepro.models.blocks import LayerMaker

KERNEL = 3


@dataclass(frozen=True)
class VGGShape:
    """Of each block of a VGG, its convolutions and their channels."""

    depths: tuple[int, ...]
    channels: tuple[int, ...]


VGG16_SHAPES = {
    "vgg16": VGGShape(depths=(2, 2, 3, 3, 3), channels=(64, 128, 256, 512, 512)),  # arXiv 1409.1556, table 1, D
    "vgg_tiny": VGGShape(depths=(1, 1, 1, 1, 1), channels=(16, 32, 48, 64, 96)),  # for the sample scale and tests
}


def vgg16(
    x: KerasTensor, make: LayerMaker, *, shape: VGGShape, batch_norm: bool, first_padding: int = 1
) -> dict[str, KerasTensor]:
    """Build the convolutional part of a VGG.

    Pooling keeps the incomplete windows at the right and lower border: extent n becomes ceil(n / 2), as in Caffe.
    (``keras.applications`` drops them; the two agree where extents are multiples of 32.)

    Args:
        x: normalised pictures, (batch, height, width, 3).
        make: maker of the layers.
        shape: a value of ``VGG16_SHAPES``.
        batch_norm: whether a batch norm ``<convolution>_bn`` follows every convolution (DeconvNet) or none does.
        first_padding: pixels of zeros around the picture before ``block1_conv1``, at least 1. The FCN release has
            100 in place of 1, so that the smallest picture leaves room for a 7x7 kernel at stride 32; all maps then
            start 99 pixels above and left of the picture.

    Returns:
        ``block1`` .. ``block5``: what each block's last ReLU gives, at strides 1, 2, 4, 8, 16;
        ``pool1`` .. ``pool5``: the same after pooling, at strides 2, 4, 8, 16, 32.
    """
    if first_padding > 1:  # the convolution itself pads by 1
        x = keras.layers.ZeroPadding2D(first_padding - 1, name="block1_conv1_pad")(x)
    taps = {}
    for block, (depth, channels) in enumerate(zip(shape.depths, shape.channels, strict=True), 1):
        for n in range(1, depth + 1):
            name = f"block{block}_conv{n}"
            x = make.convolution(x, name, channels, KERNEL, bias=True)
            x = make.norm_relu(x, name) if batch_norm else keras.layers.Activation("relu", name=f"{name}_relu")(x)
        taps[f"block{block}"] = x
        x = keras.layers.MaxPooling2D(2, 2, padding="same", name=f"block{block}_pool")(x)
        taps[f"pool{block}"] = x
    return taps
