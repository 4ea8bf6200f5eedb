"""Every backbone by name, in one way: build it, and hand on its features and its low-level features.

Low-level features have stride 4 and feed DeepLabv3+'s decoder: for a ResNet "Conv2 before striding" (DeepLabv3+
paper, section 3.1), hence the output of block 1's last unit at stride 4, ``conv2_block3_out`` of a ResNet-v1 and
``conv2_block2_out`` of a ResNet-v2, whose block 1 halves the map in its last unit. (The release's own ResNet graph
reads the last convolution of that unit, before the sum.) For Xception see ``xception.LOW_LEVEL``.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from keras import KerasTensor

from segrepro.models import resnet_v1, resnet_v2, xception
from segrepro.models.blocks import LayerMaker


class Family(NamedTuple):
    """Backbones of one kind.

    Attributes:
        shapes: name -> shape.
        variants: name -> settings, with ``epsilon`` among them.
        build: (normalised pictures, make, shape, variant, *, output_stride, multi_grid, features) -> taps, of
            which ``features`` and ``low_level`` are read.
    """

    shapes: Mapping[str, Any]
    variants: Mapping[str, Any]
    build: Callable[..., dict[str, KerasTensor]]


def _resnet_v2(
    x: KerasTensor, make: LayerMaker, shape: Any, variant: resnet_v2.Variant, *, features: str | None, **options: Any
) -> dict[str, KerasTensor]:
    features = features or variant.features
    return resnet_v2.resnet_v2(x, make, shape=shape, pool_padding=variant.pool_padding, features=features, **options)


def _resnet_v1(
    x: KerasTensor, make: LayerMaker, shape: Any, variant: Any, *, features: None, **options: Any
) -> dict[str, KerasTensor]:
    del variant, features
    return resnet_v1.resnet_v1(x, make, shape=shape, **options)


def _xception(
    x: KerasTensor, make: LayerMaker, shape: Any, variant: Any, *, features: None, **options: Any
) -> dict[str, KerasTensor]:
    del variant, features
    return xception.xception(x, make, shape=shape, **options)


FAMILIES = (
    Family(resnet_v2.RESNET_V2, resnet_v2.VARIANTS, _resnet_v2),
    Family(resnet_v1.RESNET_V1, resnet_v1.VARIANTS, _resnet_v1),
    Family(xception.XCEPTION, xception.VARIANTS, _xception),
)


def family_of(backbone: str) -> Family:
    """Return the family of a backbone.

    Args:
        backbone: a name of one of the families' ``shapes``.
    """
    return next(family for family in FAMILIES if backbone in family.shapes)
