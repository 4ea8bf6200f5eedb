"""FCN (Long, Shelhamer and Darrell 2015, arXiv 1411.4038): VGG16 as convolutions, scores fused from coarse to fine.

Sources of the numbers: the paper, and the released Caffe definitions ``voc-fcn32s``, ``voc-fcn16s``, ``voc-fcn8s``
and ``voc-fcn8s-atonce``, whose layer names these are (but ``upscore`` of the first, which is ``upscore32`` here).
Layers of the same name have the same shape in all three, so that 16s starts from 32s, and 8s from 16s.

Where the maps lie: a pooling moves the centre of its features half a stride to the right and down, a convolution
without padding by half its kernel's reach, a transposed one by as much to the left and up. Each map here knows its
stride and the place of its first feature, and the crops follow; the release's crops (19, 5, 27, 9, 31) are what
comes out at its padding of 100 pixels.
"""

from dataclasses import dataclass

import keras
from keras import KerasTensor

from segrepro.config.networks import Fcn
from segrepro.models.blocks import LayerMaker, layer_seed
from segrepro.models.replicas import Dropout
from segrepro.models.upsampling import AlignedSum, BilinearKernel, BilinearUpsampling, CropLike

# pixels of the finest map that is scored -> poolings that are scored beside fc7, coarse to fine
SKIPS = {32: (), 16: (4,), 8: (4, 3)}
# Poolings' features before they are scored "at once": they are larger than fc7's, the finer the more (release).
AT_ONCE_SCALES = {4: 0.01, 3: 0.0001}
# Scores are small sums of large features, and are added up: float16 would lose what the finer maps add.
SCORE_DTYPE = "float32"


@dataclass(frozen=True)
class _Map:
    """A feature map and its place: feature i is centred on pixel ``origin + i * stride``, along both sides."""

    features: KerasTensor
    stride: int
    origin: float


def fcn_head(
    taps: dict[str, KerasTensor], pictures: KerasTensor, make: LayerMaker, network: Fcn, num_classes: int
) -> KerasTensor:
    """Build what follows VGG's poolings: fc6, fc7, scores, and their way back to the picture.

    The release's fc6 has no padding of its own and eats up the border of 100 pixels; without ``input_padding`` fc6
    keeps its map's size. Scaled down "at once", pool4 and pool3 can be trained with all else. The paper learns all
    upsampling but the last one (section 4.3).

    Args:
        taps: of ``vgg16.vgg16`` with a ``first_padding`` of max(1, ``network.input_padding``).
        pictures: the network's input, (batch, height, width, 3); the logits get its size.
        make: maker of the layers.
        network: its description.
        num_classes: classes, background included.

    Returns:
        Logits, float32, (batch, height, width, num_classes): the size of the pictures.
    """
    padding, upsampling = network.input_padding, network.upsampling
    pools = {n: _Map(taps[f"pool{n}"], 2**n, 1 - max(1, padding) + (2**n - 1) / 2) for n in (3, 4, 5)}
    x, shift = pools[5], 0
    features = _fc6(x.features, make, network, padded=not padding)
    if padding:
        shift = x.stride * (network.fc6_kernel - 1) // 2
    features = _after_fully_connected(features, make, "fc6", network)
    features = make.convolution(features, "fc7", network.fc_channels, bias=True)
    features = _after_fully_connected(features, make, "fc7", network)
    score = _Map(_score(features, make, "score_fr", num_classes), x.stride, x.origin + shift)
    name = "upscore2"
    for n in SKIPS[network.skip_stride]:
        score = _upsample(score, name, num_classes, 2, learned=upsampling != "bilinear")
        scale = AT_ONCE_SCALES[n] if network.at_once else None
        score = _fuse(score, pools[n], make, f"pool{n}", num_classes, scale)
        name = f"upscore_pool{n}"
    stride = network.skip_stride
    score = _upsample(score, f"upscore{stride}", num_classes, stride, learned=upsampling == "learned")
    return CropLike(int(-score.origin), name="logits", dtype=SCORE_DTYPE)([score.features, pictures])


def _fc6(x: KerasTensor, make: LayerMaker, network: Fcn, *, padded: bool) -> KerasTensor:
    channels, kernel = network.fc_channels, network.fc6_kernel
    if padded:
        return make.convolution(x, "fc6", channels, kernel, bias=True)
    he = keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed=layer_seed(make.seed, "fc6"))
    return keras.layers.Conv2D(channels, kernel, kernel_initializer=he, name="fc6")(x)


def _after_fully_connected(x: KerasTensor, make: LayerMaker, name: str, network: Fcn) -> KerasTensor:
    normed = network.batch_norm != "none"
    x = make.norm_relu(x, name) if normed else keras.layers.Activation("relu", name=f"{name}_relu")(x)
    if not network.dropout:
        return x
    name = f"{name}_dropout"
    return Dropout(network.dropout, seed=layer_seed(make.seed, name), name=name)(x)


def _score(x: KerasTensor, make: LayerMaker, name: str, num_classes: int) -> KerasTensor:
    """Score each class by a 1x1 convolution that starts from zero."""
    return make.convolution(x, name, num_classes, bias=True, initializer=0.0, dtype=SCORE_DTYPE)


def _upsample(x: _Map, name: str, num_classes: int, factor: int, *, learned: bool) -> _Map:
    if learned:
        layer = keras.layers.Conv2DTranspose(
            num_classes,
            2 * factor,
            strides=factor,
            use_bias=False,
            kernel_initializer=BilinearKernel(),
            name=name,
            dtype=SCORE_DTYPE,
        )
    else:
        layer = BilinearUpsampling(factor, name=name, dtype=SCORE_DTYPE)
    stride = x.stride // factor
    return _Map(layer(x.features), stride, x.origin - stride * (2 * factor - 1) / 2)


def _fuse(x: _Map, pool: _Map, make: LayerMaker, name: str, num_classes: int, scale: float | None) -> _Map:
    """Score a pooling's features and add them to the scores so far."""
    features = pool.features
    if scale is not None:
        features = keras.layers.Rescaling(scale, name=f"scale_{name}", dtype=SCORE_DTYPE)(features)
    score = _score(features, make, f"score_{name}", num_classes)
    offset = int((x.origin - pool.origin) / x.stride)
    fused = AlignedSum(offset, name=f"fuse_{name}", dtype=SCORE_DTYPE)([x.features, score])
    return _Map(fused, x.stride, max(x.origin, pool.origin))
