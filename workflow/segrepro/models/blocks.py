"""Convolution, batch norm and ReLU by explicit name: the bricks that every network here is built of."""

import hashlib
from dataclasses import dataclass

import keras
from keras import KerasTensor


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

    Attributes:
        seed: the model's seed.
        batch_norm_decay: share of the old moving statistics kept at each step (Keras' ``momentum``).
        batch_norm_epsilon: added to the variance.
    """

    seed: int
    batch_norm_decay: float
    batch_norm_epsilon: float

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
        initializer: str = "slim",
        dtype: str | None = None,
    ) -> KerasTensor:
        """Convolve, padded with zeros by half the kernel's reach on every side.

        Extent n becomes ceil(n / stride).
        TF's own ``same`` padding of a strided layer depends on whether the extent is even; TF-slim, Keras'
        ResNet and DeepLab pad by a fixed amount and convolve ``valid``, so that features stay centred on
        pixels 0, stride, 2 * stride, ... whatever the size. Without stride both are the same.

        Args:
            x: (batch, height, width, channels).
            name: the layer's name.
            filters: channels of the result.
            kernel: side of the square kernel, odd.
            stride: step, in features of ``x``.
            rate: dilation, in features of ``x``.
            bias: whether to add a bias (starts at 0).
            initializer: ``slim``: variance 2 / fan-in, truncated normal (TF-slim's ``resnet_arg_scope``, He et
                al. 2015); ``glorot``: uniform, TF's default, which the report's code used for the classifier.
            dtype: the layer's dtype policy where it is not the global one.
        """
        layer = keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            dilation_rate=rate,
            padding="same" if stride == 1 else "valid",
            use_bias=bias,
            kernel_initializer=self._initializer(initializer, name),
            name=name,
            dtype=dtype,
        )
        if stride > 1 and kernel > 1:
            x = keras.layers.ZeroPadding2D((kernel - 1) * rate // 2, name=f"{name}_pad")(x)
        return layer(x)

    def _initializer(self, kind: str, name: str) -> keras.initializers.Initializer:
        seed = layer_seed(self.seed, name)
        if kind == "glorot":
            return keras.initializers.GlorotUniform(seed=seed)
        return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed=seed)

    def norm(self, x: KerasTensor, name: str, layer: type = keras.layers.BatchNormalization) -> KerasTensor:
        """Normalise by batch statistics, with scale and offset; ``layer`` is the class to use."""
        options = {"momentum": self.batch_norm_decay, "epsilon": self.batch_norm_epsilon}
        return layer(name=name, **options)(x)

    def norm_relu(self, x: KerasTensor, prefix: str) -> KerasTensor:
        """Batch norm ``<prefix>_bn``, then ReLU ``<prefix>_relu``."""
        return keras.layers.Activation("relu", name=f"{prefix}_relu")(self.norm(x, f"{prefix}_bn"))

    def convolution_norm_relu(self, x: KerasTensor, prefix: str, *shape: int, **options) -> KerasTensor:
        """Convolution ``<prefix>_conv`` (arguments as of ``convolution``), batch norm and ReLU."""
        return self.norm_relu(self.convolution(x, f"{prefix}_conv", *shape, **options), prefix)
