"""DeconvNet (Noh, Hong and Han 2015, arXiv 1505.04366): VGG16, and VGG16 mirrored.

Convolutions and poolings shrink a crop of 224 x 224 pixels to a vector of 4096 numbers; deconvolutions and unpoolings
grow it back to a map of the crop's size. Every one of the 13 + 2 + 14 convolutions and deconvolutions has a bias and is
followed by batch norm and ReLU; only the classifier has neither. There is no dropout. Figure 2 and the released
Caffe definition are the sources; `docs/deconvnet.md` lists every layer.

A deconvolution is a transposed convolution of stride 1. Layers are named as in the release with underscores for
hyphens (``deconv_fc6``, ``deconv5_1`` .. ``deconv1_2``), but the convolutions as in ``keras.applications.VGG16``.
"""

import keras
from keras import KerasTensor

from segrepro.config.networks import DeconvNet
from segrepro.models.blocks import LayerMaker, layer_seed
from segrepro.models.unpooling import Unpooling
from segrepro.models.vgg16 import VGG16_SHAPES, VGGShape

STRIDE = 32  # of what fc6 reads, pixels; also the sides of pictures are multiples of it
KERNEL = 3
# Of the release: every batch norm's first shift, so that a ReLU behind a silent channel lets a gradient through.
BATCH_NORM_OFFSET = 0.001


def _gaussian(make: LayerMaker, name: str) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=make.initializer, seed=layer_seed(make.seed, name))


def _fully_connected(x: KerasTensor, make: LayerMaker, name: str, channels: int, kernel: int) -> KerasTensor:
    """Slide a fully connected layer of VGG over the map: a convolution without padding, batch norm and ReLU."""
    he = keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed=layer_seed(make.seed, name))
    return make.norm_relu(keras.layers.Conv2D(channels, kernel, kernel_initializer=he, name=name)(x), name)


def _deconvolution(
    x: KerasTensor, make: LayerMaker, name: str, channels: int, kernel: int = KERNEL, *, padding: str = "same"
) -> KerasTensor:
    """Convolve transposed, then batch norm and ReLU; ``valid`` grows the map by kernel - 1, ``same`` keeps its size."""
    initializer = _gaussian(make, name)
    layer = keras.layers.Conv2DTranspose(channels, kernel, padding=padding, kernel_initializer=initializer, name=name)
    return make.norm_relu(layer(x), name)


def deconvolution_channels(shape: VGGShape) -> list[tuple[int, ...]]:
    """Return the channels of every block's deconvolutions, block 1 first.

    A block has as many deconvolutions as convolutions, all of its own width but the last, which goes down to the
    width of the block below: VGG16's block 4 gives 512, 512, 256. (Block 1, with none below, keeps its width.)
    """
    below = (shape.channels[0], *shape.channels[:-1])
    return [
        (own,) * (depth - 1) + (lower,) for depth, own, lower in zip(shape.depths, shape.channels, below, strict=True)
    ]


def deconvnet_head(taps: dict[str, KerasTensor], make: LayerMaker, network: DeconvNet, num_classes: int) -> KerasTensor:
    """Build what follows VGG's convolutions: fc6, fc7, the deconvolutions, the classifier.

    ``fc6`` has kernels of a 32nd of ``input_size``, which see the whole crop at once. The taps are of ``vgg16.vgg16``
    with batch norms, on pictures whose sides are multiples of 32 and at least ``network.input_size``. The initializer
    of ``make`` is the standard deviation (Gaussian) of the deconvolutions' and the classifier's first kernels, 0.01 in
    the release. Logits are float32 (batch, height, width, num_classes), of the size of the pictures.
    """
    shape, fc_channels, kernel = VGG16_SHAPES[network.backbone], network.fc_channels, network.input_size // STRIDE
    x = _fully_connected(taps["pool5"], make, "fc6", fc_channels, kernel)
    x = _fully_connected(x, make, "fc7", fc_channels, 1)
    x = _deconvolution(x, make, "deconv_fc6", shape.channels[-1], kernel, padding="valid")
    for block, channels in reversed(list(enumerate(deconvolution_channels(shape), start=1))):
        x = Unpooling(name=f"unpool{block}")([x, taps[f"block{block}"]])
        for number, filters in enumerate(channels, start=1):
            x = _deconvolution(x, make, f"deconv{block}_{number}", filters)
    initializer = _gaussian(make, "logits_conv")
    return keras.layers.Conv2D(num_classes, 1, kernel_initializer=initializer, name="logits_conv", dtype="float32")(x)
