"""DeepLabv3's head (Chen et al. 2017, arXiv 1706.05587): atrous spatial pyramid pooling and a classifier."""

import keras
from keras import KerasTensor

from segrepro.config.networks import DeepLab, DeepLabV3
from segrepro.geometry import aspp_rates_at
from segrepro.models.blocks import LayerMaker, layer_seed
from segrepro.models.layers import ResizeLike
from segrepro.models.replicas import Dropout

# TF-slim's resnet_arg_scope, which the report's ASPP was built in; the DeepLab release has the same.
ASPP_BATCH_NORM_EPSILON = 1e-5
# Of depthwise and pointwise kernels in ASPP and decoder of the DeepLab release: truncated normal, deviations.
SEPARABLE_INITIALIZERS = (0.33, 0.06)


def aspp(
    x: KerasTensor,
    make: LayerMaker,
    *,
    channels: int,
    rates: tuple[int, ...],
    resize: str,
    separable: bool = False,
    image_first: bool = False,
) -> KerasTensor:
    """Atrous spatial pyramid pooling: parallel views of the features at several scales, joined.

    Branches, in the order of the report's code: 1x1; 3x3 at each rate (zero padding = rate); and the mean over
    the whole map, 1x1, spread over the map again. Each has batch norm and ReLU and no bias; the joint is 1x1,
    batch norm and ReLU. The mean is over the whole map in training on crops as in evaluation on pictures.

    Args:
        x: features, (batch, height, width, channels).
        make: maker of the layers.
        channels: of each branch and of the result; 256 in the papers.
        rates: dilation rates in features, at this output stride (see ``geometry.aspp_rates_at``).
        resize: a key of ``RESIZE_MODES``; from 1x1 all give the same.
        separable: whether the 3x3 convolutions are separable, with batch norm and ReLU in between.
        image_first: whether the mean's branch comes first, as in the DeepLab release.
    """
    branches = [make.convolution_norm_relu(x, "aspp0", channels)]
    for number, rate in enumerate(rates, start=1):
        prefix = f"aspp{number}"
        if separable:
            options = {"relu": True, "initializers": SEPARABLE_INITIALIZERS}
            branches.append(make.separable_convolution(x, prefix, channels, rate=rate, **options))
        else:
            branches.append(make.convolution_norm_relu(x, prefix, channels, 3, rate=rate))
    # In float32 by itself: a sum over a large map overflows float16.
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name="image_pooling")(x)
    pooled = make.convolution_norm_relu(pooled, "image_pooling", channels)
    image = ResizeLike(resize, name="image_pooling_resize")([pooled, x])
    branches = [image, *branches] if image_first else [*branches, image]
    joined = keras.layers.Concatenate(name="aspp_concat")(branches)
    return make.convolution_norm_relu(joined, "concat_projection", channels)


def encoded(
    x: KerasTensor, make: LayerMaker, network: DeepLab, *, separable: bool = False, image_first: bool = False
) -> KerasTensor:
    """Return `aspp` of a network, whose rates are told at output stride 16, and its dropout behind."""
    rates = aspp_rates_at(tuple(network.aspp_rates), network.output_stride)
    options = {"separable": separable, "image_first": image_first, "resize": network.resize}
    x = aspp(x, make, channels=network.aspp_channels, rates=rates, **options)
    if not network.dropout:
        return x
    # The layer's random state is among ``model.variables``.
    return Dropout(network.dropout, seed=layer_seed(make.seed, "dropout"), name="dropout")(x)


def deeplabv3_head(x: KerasTensor, make: LayerMaker, network: DeepLabV3, num_classes: int) -> KerasTensor:
    """Build ASPP and the classifier: a biased 1x1 convolution, Glorot-initialised as in the report's code.

    Features are dropped before the classifier (none in paper and report, 0.1 in the DeepLab release). The variant
    ``released`` has ASPP's branches in the order of the release, which on MobileNetV2 has none but the mean's and 1x1.
    Logits are float32, also under mixed precision: (batch, height, width, num_classes).
    """
    options = {"bias": True, "initializer": "glorot", "dtype": "float32"}
    x = encoded(x, make, network, image_first=network.variant == "released")
    return make.convolution(x, "logits_conv", num_classes, **options)
