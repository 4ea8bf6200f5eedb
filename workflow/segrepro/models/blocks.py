"""Convolution, batch norm and ReLU by explicit name: the bricks that every network here is built of."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import KerasTensor

from segrepro.models.replicas import BatchNormalization


def layer_seed(seed: int, name: str) -> int:
    """Derive a layer's own seed from the model's seed and the layer's name: 31 bits.

    Initial weights then depend on nothing else: not on the order of building, nor on the other layers. A
    network rebuilt at another output stride, or with another head, starts from the same values in the layers
    they share.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


@dataclass(frozen=True)
class LayerMaker:
    """Makes the layers of one part of a network, all with the same batch-norm settings.

    An initializer is ``slim``: variance 2 / fan-in, truncated normal (TF-slim's ``resnet_arg_scope``, He et al.
    2015); ``glorot``: uniform, TF's default; or a number: truncated normal of that standard deviation.
    """

    seed: int  # the model's
    batch_norm_decay: float  # share of the old moving statistics kept at each step (Keras' ``momentum``)
    batch_norm_epsilon: float
    initializer: str | float = "slim"  # of convolutions that name none of their own
    batch_norm_offset: float = 0.0  # the beta that batch norms start with; DeconvNet's release has 0.001
    strided_padding: str = "fixed"  # or "same", see `convolution`

    def convolution(
        self,
        x: KerasTensor,
        name: str,
        filters: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        rate: int = 1,
        bias: bool = False,
        initializer: str | float | None = None,
        dtype: str | None = None,
    ) -> KerasTensor:
        """Convolve, padded with zeros by half the kernel's reach on every side: extent n becomes ceil(n / stride).

        TF's own ``same`` padding of a strided layer depends on whether the extent is even; TF-slim, Keras'
        ResNet and DeepLab pad by a fixed amount and convolve ``valid``, so that features stay centred on
        pixels 0, stride, 2 * stride, ... whatever the size. Without stride both are the same. MobileNetV2 alone
        has ``same`` there (``strided_padding``).

        The side of the square ``kernel`` is odd; ``stride`` and ``rate`` are in features of ``x``; a bias starts at 0;
        the kernel's ``initializer`` is the maker's unless given, ``dtype`` the global policy's.
        """
        options = {"use_bias": bias, "kernel_initializer": self._initializer(initializer, name), "dtype": dtype}
        return self._convolved(x, keras.layers.Conv2D, name, kernel, stride, rate, filters=filters, **options)

    def depthwise_convolution(
        self, x: KerasTensor, name: str, *, stride: int = 1, rate: int = 1, initializer: str | float | None = None
    ) -> KerasTensor:
        """Convolve each channel by a 3x3 kernel of its own, without bias; padding and extents as of ``convolution``."""
        options = {"use_bias": False, "depthwise_initializer": self._initializer(initializer, name)}
        return self._convolved(x, keras.layers.DepthwiseConv2D, name, 3, stride, rate, **options)

    def _convolved(
        self, x: KerasTensor, layer: type, name: str, kernel: int, stride: int, rate: int, **options: Any
    ) -> KerasTensor:
        """Convolve by a layer of Keras; where it is strided and the padding is fixed, pad by hand."""
        by_hand = stride > 1 and self.strided_padding == "fixed"
        if by_hand and kernel > 1:
            x = keras.layers.ZeroPadding2D((kernel - 1) * rate // 2, name=f"{name}_pad")(x)
        padding = "valid" if by_hand else "same"
        return layer(kernel_size=kernel, strides=stride, dilation_rate=rate, padding=padding, name=name, **options)(x)

    def _initializer(self, kind: str | float | None, name: str) -> keras.initializers.Initializer:
        seed = layer_seed(self.seed, name)
        kind = self.initializer if kind is None else kind
        if kind == "glorot":
            return keras.initializers.GlorotUniform(seed=seed)
        if kind == "slim":
            return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed=seed)
        return keras.initializers.TruncatedNormal(stddev=kind, seed=seed)

    def norm(self, x: KerasTensor, name: str, layer: type = BatchNormalization) -> KerasTensor:
        """Normalise by batch statistics, with scale and offset; ``layer`` is the class to use."""
        options = {"momentum": self.batch_norm_decay, "epsilon": self.batch_norm_epsilon}
        if self.batch_norm_offset:
            options["beta_initializer"] = keras.initializers.Constant(self.batch_norm_offset)
        return layer(name=name, **options)(x)

    def norm_relu(self, x: KerasTensor, prefix: str) -> KerasTensor:
        """Batch norm ``<prefix>_bn``, then ReLU ``<prefix>_relu``."""
        return keras.layers.Activation("relu", name=f"{prefix}_relu")(self.norm(x, f"{prefix}_bn"))

    def convolution_norm_relu(self, x: KerasTensor, prefix: str, *shape: int, **options) -> KerasTensor:
        """Convolution ``<prefix>_conv`` (arguments as of ``convolution``), batch norm and ReLU."""
        return self.norm_relu(self.convolution(x, f"{prefix}_conv", *shape, **options), prefix)

    def separable_convolution(
        self,
        x: KerasTensor,
        prefix: str,
        filters: int,
        *,
        stride: int = 1,
        rate: int = 1,
        relu: bool,
        initializers: tuple[str | float | None, str | float | None] = (None, None),
    ) -> KerasTensor:
        """Convolve depthwise 3x3, then pointwise 1x1, each with batch norm (DeepLabv3+, section 3.1).

        Stride and rate are the depthwise convolution's; ``initializers`` are of the depthwise and the pointwise kernel.
        Layers are called ``<prefix>_depthwise_conv``, ``_depthwise_bn``, ``_pointwise_conv``, ``_pointwise_bn``, and
        with ``relu`` ``_depthwise_relu`` and ``_pointwise_relu``: a ReLU then follows both batch norms.
        """
        after = self.norm_relu if relu else lambda y, part: self.norm(y, f"{part}_bn")
        of_depthwise, of_pointwise = initializers
        part = f"{prefix}_depthwise"
        options = {"stride": stride, "rate": rate, "initializer": of_depthwise}
        x = after(self.depthwise_convolution(x, f"{part}_conv", **options), part)
        part = f"{prefix}_pointwise"
        return after(self.convolution(x, f"{part}_conv", filters, initializer=of_pointwise), part)


def strides_and_rates(
    nominal: Iterable[int], *, stride_so_far: int, output_stride: int
) -> Iterator[tuple[int, int, int]]:
    """Go through a backbone's parts and let no stride exceed the output stride: dilate instead.

    Once the output stride is reached, a part that would halve the map keeps its extent, and all behind it are dilated
    twice as much. The dilated network thus computes, at every second position, what the strided one does.

    Of each part, whose nominal stride is 1 or 2, come its stride and the dilation rates before and behind it.
    ``stride_so_far`` is that of what comes before the first part.
    """
    rate = 1
    for stride in nominal:
        before = rate
        if stride_so_far * stride > output_stride:
            stride, rate = 1, rate * stride
        stride_so_far *= stride
        yield stride, before, rate


def freeze_batch_norm(model: keras.Model) -> None:
    """Fix every batch norm: it normalises by its moving statistics and keeps them, its scale, and its offset.

    The papers' second phase (DeepLabv3, section 4.1), and any training whose batch is too small for statistics
    (fewer than 12 pictures, says the DeepLab release). To be called before the training loop collects
    ``model.trainable_variables``. ``model.variables`` stays as it was, and a saved model stays frozen.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
