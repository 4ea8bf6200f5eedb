"""Small linear networks, pictures and means for the tests of prediction."""

import keras
import numpy as np
import tensorflow as tf

from segrepro.config.systems import Prediction
from segrepro.inference.augmented import AugmentedModel
from segrepro.models.layers import Normalise
from segrepro.stores.resize import resize_scores

CLASSES = 21


def prediction_of(**options) -> Prediction:
    """Return a prediction; scales may be a tuple."""
    return Prediction(**options | ({"scales": list(options["scales"])} if "scales" in options else {}))


def small_network(
    stride: int = 1, kernel: int = 1, *, gain: float = 1.0, seed: int = 0, normalisation: str | None = None
) -> keras.Model:
    """A linear network of random weights: logits at every ``stride``-th pixel."""
    pictures = keras.Input((None, None, 3), name="picture")
    x = Normalise(normalisation, name="normalise")(pictures) if normalisation else pictures
    x = keras.layers.Rescaling(gain / 64, name="scale")(x)
    x = keras.layers.ZeroPadding2D(kernel // 2, name="pad")(x)
    initializer = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
    x = keras.layers.Conv2D(CLASSES, kernel, strides=stride, kernel_initializer=initializer, name="logits")(x)
    return keras.Model(pictures, x, name="small")


def random_pictures(*shape: int, seed: int = 0) -> tf.Tensor:
    """Smooth random pictures: uint8 (n, H, W, 3)."""
    n, height, width = shape
    coarse = np.random.default_rng(seed).random((n, 5, 6, 3)) * 255
    return tf.cast(tf.image.resize(coarse, (height, width), method="bicubic"), tf.uint8)


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def at_full_size(logits: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    return np.stack([resize_scores(one, size, mode) for one in np.asarray(logits)])


def mean_of(model, pictures, resize="legacy", **options) -> np.ndarray:
    """The mean probabilities over all views."""
    augmented = AugmentedModel(model, prediction_of(**options), resize=resize)
    mean = augmented.over_views(pictures)
    return softmax(mean) if augmented.augmentation.has_logits else mean
