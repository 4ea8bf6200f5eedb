"""Layers that Keras lacks: input normalisation, TensorFlow's three bilinear resizings, unread variables.

All are registered under the package ``segrepro``, so that ``keras.models.load_model`` needs no custom objects
once this module is imported.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from segrepro.models import unpooling, upsampling  # noqa: F401  registered too, for who loads models by this module
from segrepro.models.replicas import BatchNormalization


class Normalisation(NamedTuple):
    """``(x - mean) * scale`` on channels of RGB values 0..255, reversed to BGR first where asked."""

    bgr: bool
    mean: tuple[float, float, float]
    scale: float


NORMALISATIONS = {
    # keras.applications.imagenet_utils, mode "caffe" (VGG16, ResNet v1): means of ImageNet in BGR.
    "caffe": Normalisation(bgr=True, mean=(103.939, 116.779, 123.68), scale=1.0),
    # Mean of ILSVRC 2012 in BGR as Caffe's models have it: shelhamer/fcn.berkeleyvision.org infer.py, and
    # HyeonwooNoh/DeconvNet inference/util/preprocess_image_bb.m (its training prototxts: 104.008, 116.669, 122.675).
    "caffe_ilsvrc": Normalisation(bgr=True, mean=(104.00699, 116.66877, 122.67892), scale=1.0),
    # Report 1's own code: BGR / 255, which ImageNet's VGG weights were not trained on.
    "bgr_unit": Normalisation(bgr=True, mean=(0.0, 0.0, 0.0), scale=1 / 255),
    # keras.applications.imagenet_utils, mode "tf" (ResNet v2, Xception) and the DeepLab release: to [-1, 1].
    "keras_tf": Normalisation(bgr=False, mean=(127.5, 127.5, 127.5), scale=1 / 127.5),
    # Mean-subtracted RGB. TF-slim's vgg_preprocessing and the DeepLabv3 code that the report ran round the green and
    # blue means to 116.78 and 103.94: 0.001 of a grey level beside these.
    "mean_rgb": Normalisation(bgr=False, mean=(123.68, 116.779, 103.939), scale=1.0),
}

# mode -> arguments of TensorFlow's ResizeBilinear
RESIZE_MODES = {
    # TF 2's tf.image.resize: pixels are squares, source = (target + 0.5) * scale - 0.5.
    "half_pixel": {"align_corners": False, "half_pixel_centers": True},
    # TF 1's tf.image.resize_bilinear by default, and so the report's code: source = target * scale.
    "legacy": {"align_corners": False, "half_pixel_centers": False},
    # The DeepLab release: corners on corners, source = target * (n_source - 1) / (n_target - 1).
    "align_corners": {"align_corners": True, "half_pixel_centers": False},
}


def resize_bilinear(x: tf.Tensor, size: tf.Tensor | tuple[int, int], mode: str) -> tf.Tensor:
    """Resize (batch, height, width, channels) to (height, width) by a key of `RESIZE_MODES`; float32 always."""
    options = RESIZE_MODES[mode]
    return tf.raw_ops.ResizeBilinear(images=tf.cast(x, tf.float32), size=tf.cast(size, tf.int32), **options)


@keras.saving.register_keras_serializable(package="segrepro")
class Normalise(keras.layers.Layer):
    """Turn RGB values 0..255 into what the backbone was trained on, by a key of `NORMALISATIONS`.

    Float16 would round pixel values that are no integers (bilinear scaling makes such), so the layer computes
    in float32, also under mixed precision, and the first convolution casts.
    """

    def __init__(self, mode: str, **options):
        options["dtype"] = "float32"
        super().__init__(**options)
        self.mode = mode

    def call(self, pictures):
        """Map RGB (batch, height, width, 3), 0..255, to normalised float32 of the same shape."""
        normalisation = NORMALISATIONS[self.mode]
        x = tf.cast(pictures, tf.float32)
        if normalisation.bgr:
            x = x[..., ::-1]
        return (x - tf.constant(normalisation.mean)) * normalisation.scale

    def compute_output_shape(self, input_shape):
        """Return the shape as it came."""
        return input_shape

    def get_config(self):
        """Return the arguments that rebuild the layer."""
        return {**super().get_config(), "mode": self.mode}


def neutral_pixel(model: keras.Model) -> tuple[float, float, float]:
    """Return the RGB value that a network's normalisation turns into zeros: what the DeepLab release pads with."""
    normalisation = NORMALISATIONS[model.get_layer("normalise").mode]
    return normalisation.mean[::-1] if normalisation.bgr else normalisation.mean


@keras.saving.register_keras_serializable(package="segrepro")
class ResizeLike(keras.layers.Layer):
    """Resize one feature map to the height and width of another, by a key of `RESIZE_MODES`."""

    def __init__(self, mode: str, **options):
        super().__init__(**options)
        self.mode = mode

    def call(self, inputs):
        """Resize ``inputs[0]`` to the extents of ``inputs[1]``; both (batch, height, width, channels)."""
        x, like = inputs
        return tf.cast(resize_bilinear(x, tf.shape(like)[1:3], self.mode), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return batch and channels of the first input, height and width of the second."""
        x, like = input_shape
        return (x[0], like[1], like[2], x[3])

    def get_config(self):
        """Return the arguments that rebuild the layer."""
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package="segrepro")
class UnreadBatchNormalization(BatchNormalization):
    """A batch normalisation whose result nobody reads: holds its variables and passes its input on.

    The report's DeepLabv3 graph computes ResNet-v2's final normalisation, but its ASPP reads the raw sum
    before it. The checkpoints hold the four variables, and weight decay shrinks the trainable two, so the
    imported network has them too. Their gradient is zero rather than absent, so that no training loop has to
    know about them; the moving statistics stay as they were.
    """

    def call(self, inputs, training=None, mask=None):
        """Return the inputs (batch, height, width, channels) unchanged."""
        del training, mask
        return inputs + tf.cast(0.0 * (self.gamma + self.beta), inputs.dtype)
