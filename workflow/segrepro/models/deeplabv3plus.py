"""DeepLabv3+'s head (Chen et al. 2018, arXiv 1802.02611): DeepLabv3's encoder, and a decoder at stride 4.

The graph is that of the DeepLab release, and so are the layers' names: variable scopes with dots for slashes, and
``_conv`` or ``_bn`` behind (``decoder.feature_projection0_conv``); the release's ``logits/semantic`` is
``logits_conv`` here, as in every network of this project.
"""

import keras
from keras import KerasTensor

from segrepro.config.networks import DeepLabV3Plus
from segrepro.models.blocks import LayerMaker
from segrepro.models.deeplabv3 import SEPARABLE_INITIALIZERS, encoded
from segrepro.models.layers import ResizeLike

LOGITS_DEVIATION = 0.01


def decoder(
    x: KerasTensor,
    low_level: KerasTensor,
    make: LayerMaker,
    *,
    low_level_channels: int,
    channels: int,
    separable: bool,
    resize: str,
) -> KerasTensor:
    """Refine the encoder's features by features of higher resolution.

    The low-level features pass a 1x1 convolution, lest their many channels outweigh the encoder's; the encoder's
    are resized to them; both are joined, the encoder's first, and pass two 3x3 convolutions. All have batch norm
    and ReLU and no bias.

    Args:
        x: the encoder's features, (batch, height / output_stride, width / output_stride, channels).
        low_level: features at stride 4, (batch, height / 4, width / 4, channels).
        make: maker of the layers.
        low_level_channels: that the low-level features are reduced to; 48 in the paper.
        channels: of the result; 256 in the paper.
        separable: whether the 3x3 convolutions are separable: with Xception in the paper, not with ResNet-101.
        resize: a key of ``RESIZE_MODES``; ``align_corners`` in the release.

    Returns:
        (batch, height / 4, width / 4, channels).
    """
    low_level = make.convolution_norm_relu(low_level, "decoder.feature_projection0", low_level_channels)
    x = ResizeLike(resize, name="decoder.resize")([x, low_level])
    x = keras.layers.Concatenate(name="decoder.concat")([x, low_level])
    for prefix in ("decoder.decoder_conv0", "decoder.decoder_conv1"):
        if separable:
            options = {"relu": True, "initializers": SEPARABLE_INITIALIZERS}
            x = make.separable_convolution(x, prefix, channels, **options)
        else:
            x = make.convolution_norm_relu(x, prefix, channels, 3)
    return x


def deeplabv3plus_head(
    x: KerasTensor, low_level: KerasTensor, make: LayerMaker, network: DeepLabV3Plus, num_classes: int
) -> KerasTensor:
    """Build ASPP, decoder and classifier.

    Of the encoder's features 0.1 are dropped in the release, which drops them there, between ASPP and decoder, not
    before the classifier.

    Args:
        x: the backbone's last features, (batch, height / output_stride, width / output_stride, channels).
        low_level: the backbone's features at stride 4, (batch, height / 4, width / 4, channels).
        make: maker of the layers.
        network: its description.
        num_classes: classes, background included.

    Returns:
        Logits, float32 also under mixed precision, (batch, height / 4, width / 4, num_classes).
    """
    x = decoder(
        encoded(x, make, network, separable=network.separable, image_first=True),
        low_level,
        make,
        low_level_channels=network.low_level_channels,
        channels=network.decoder_channels,
        separable=network.separable,
        resize=network.resize,
    )
    options = {"bias": True, "initializer": LOGITS_DEVIATION, "dtype": "float32"}
    return make.convolution(x, "logits_conv", num_classes, **options)
