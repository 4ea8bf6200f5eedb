"""Test-time augmentation and sliding windows: a picture's probabilities as a mean over views of it.

A view is the picture at one scale, perhaps mirrored, perhaps cut into windows. Its logits are brought to a common
grid, become probabilities there (softmax *after* the interpolation) and are averaged; log-probabilities are stored.
That is what the released DeepLab code does at test time (``predict_labels_multi_scale``), and the papers report:
scales 0.5..1.75 in steps of 0.25, each mirrored too, at output stride 8.

Of a single view there is nothing to average: its logits themselves are stored, raw scores for who needs them
(EDeconvNet's product as released). Interpolation and fit are linear, so that the logarithm of a pixel's sum, by which
logits and log-probabilities differ, cancels in the reader's softmax.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf

from segrepro.config.networks import Network
from segrepro.config.systems import Prediction
from segrepro.errors import UserError
from segrepro.geometry import feature_size
from segrepro.inference.windows import Taps, ViewAxis
from segrepro.models.build import build_network
from segrepro.models.layers import neutral_pixel, resize_bilinear
from segrepro.stores.fitting import fit, log_probabilities
from segrepro.stores.resize import ALIGN_CORNERS
from segrepro.training.augment import pad_below_and_right

DEFAULT_STORAGE_STRIDE = 4
PROBE = 257  # side of the picture by which a network's stride is told: 256 + 1


def at_output_stride(model: keras.Model, network: Network, output_stride: int | None) -> keras.Model:
    """Rebuild a model of a network at another output stride with the same weights; None leaves it as it is.

    A network that has no such output stride is a `UserError`, as is another one than the model was built from.
    """
    if output_stride in (None, getattr(network, "output_stride", None)):
        return model
    rebuilt = build_network(network.model_copy(update={"output_stride": output_stride}), model.output_shape[-1])
    if _weight_shapes(rebuilt) != _weight_shapes(model):
        raise UserError(
            f"model '{model.name}' has other weights than its spec's network at output stride {output_stride}: give "
            "the spec that the model was trained by."
        )
    for layer in model.layers:
        if layer.weights:
            rebuilt.get_layer(layer.name).set_weights(layer.get_weights())
    return rebuilt


def _weight_shapes(model: keras.Model) -> dict[str, list[tuple]]:
    return {layer.name: [tuple(w.shape) for w in layer.weights] for layer in model.layers if layer.weights}


def logits_stride(model: keras.Model) -> int:
    """Return how many pixels lie between a model's logits (4 behind DeepLabv3+'s decoder)."""
    extent = model.compute_output_shape((1, PROBE, PROBE, 3))[1]
    return max(1, round((PROBE - 1) / max(extent - 1, 1)))


def scaled_extent(extent: int, scale: float, mode: str) -> int:
    """Return a scaled picture's height or width, in pixels.

    With aligned corners the distance of the outer pixels is scaled, as the released DeepLab code does
    (``scale_dimension``: 513 at 0.5 becomes 257, still a multiple of the stride plus 1); else the extent, as
    training does.
    """
    scaled = (extent - 1) * scale + 1 if mode == ALIGN_CORNERS else extent * scale
    return max(1, int(scaled))


class AugmentedModel:
    """A model with test-time augmentation: pictures in, log-probabilities out, or logits where there is one view.

    Args:
        model: takes (n, H, W, 3), values 0..255, gives logits; at the augmentation's output stride already.
        augmentation: the views and how they are averaged.
        resize: how pictures are scaled and logits brought to the common grid, a key of ``RESIZE_MODES``.
    """

    def __init__(self, model: keras.Model, augmentation: Prediction, *, resize: str) -> None:
        self.augmentation = augmentation
        self.resize = resize
        self.classes = model.output_shape[-1]
        self.fill = neutral_pixel(model) if augmentation.pad_to else None
        self.stride = logits_stride(model) if augmentation.average_at == "stride" else 1
        maps, vector, index = [None] * 4, tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.int32)
        axis = [index, index, vector, vector]
        nodes_of = _logits if augmentation.has_logits else _probabilities
        self._scaled = tf.function(
            partial(resize_bilinear, mode=resize),
            input_signature=[tf.TensorSpec(maps, tf.float32), tf.TensorSpec([2], tf.int32)],
        )
        self._forward = tf.function(
            lambda pictures: model(pictures, training=False),
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)],
        )
        self._at_nodes = tf.function(
            nodes_of, input_signature=[tf.TensorSpec([None, None, None, self.classes], tf.float32), axis, axis]
        )

    def __call__(self, pictures: tf.Tensor) -> np.ndarray:
        """Predict pictures of one size: uint8 (n, H, W, 3).

        Returns:
            float32 (n, h, w, classes), h = ceil(H / stride) with the storage stride or the logits' stride: what
            the reader of a score store, by the same ``resize``, brings back to the mean at full size. Logarithms of
            probabilities, or the logits of the only view.
        """
        scores = self.over_views(pictures)
        if not self.augmentation.has_logits:
            scores = log_probabilities(scores)
        if self.augmentation.average_at == "stride":
            return scores
        stride = self.augmentation.storage_stride or DEFAULT_STORAGE_STRIDE
        return np.stack([fit(each, stride, self.resize) for each in scores])

    def over_views(self, pictures: tf.Tensor) -> np.ndarray:
        """Return what `__call__` stores before logarithm and fit: the mean probabilities, or the only view's logits.

        float32 (n, h, w, classes), at full size or at the logits' stride.
        """
        size = height, width = int(pictures.shape[1]), int(pictures.shape[2])
        pictures = tf.cast(pictures, tf.float32)
        if self.augmentation.pad_to:
            missing = [max(0, self.augmentation.pad_to - extent) for extent in size]
            pictures = pad_below_and_right(pictures, missing, self.fill)
        return self._mean_over_views(pictures)[:, :height, :width]

    def _mean_over_views(self, pictures: tf.Tensor) -> np.ndarray:
        count, height, width = (int(extent) for extent in pictures.shape[:3])
        nodes = (feature_size(height, self.stride), feature_size(width, self.stride))
        mean = np.zeros((count, *nodes, self.classes), np.float32)
        for scale in self.augmentation.scales:
            scaled = pictures
            if scale != 1:
                scaled = self._scaled(pictures, [scaled_extent(e, scale, self.resize) for e in (height, width)])
            for mirrored in (False, True) if self.augmentation.flip else (False,):
                self._add_view(mean, scaled[:, :, ::-1] if mirrored else scaled, (height, width), mirrored=mirrored)
        mean /= len(self.augmentation.views)
        return mean

    def _add_view(self, total: np.ndarray, scaled: tf.Tensor, size: tuple[int, int], *, mirrored: bool) -> None:
        window, stride = self.augmentation.window, self.augmentation.window_stride
        if window is not None and stride is None:
            stride = max(1, window * 2 // 3)
        extents = zip(size, map(int, scaled.shape[1:3]), total.shape[1:3], (False, mirrored), strict=True)
        down, across = (ViewAxis(*each, self.resize, mirror, window, stride) for *each, mirror in extents)
        for y in down.starts():
            for x in across.starts():
                logits = self._forward(scaled[:, y : y + down.window_extent(), x : x + across.window_extent()])
                rows, columns = down.taps(y, int(logits.shape[1])), across.taps(x, int(logits.shape[2]))
                part = self._at_nodes(logits, _tensors(rows), _tensors(columns))
                total[:, rows.nodes, columns.nodes] += part.numpy()


def _tensors(taps: Taps) -> list[np.ndarray]:
    return [taps.lower, taps.upper, taps.weight, taps.share]


def _logits(logits: tf.Tensor, rows: list[tf.Tensor], columns: list[tf.Tensor]) -> tf.Tensor:
    """Interpolate logits (n, h, w, classes) at nodes."""
    lower, upper, weight, _ = columns
    left = tf.gather(logits, lower, axis=2)
    logits = left + (tf.gather(logits, upper, axis=2) - left) * weight[:, tf.newaxis]
    lower, upper, weight, _ = rows
    top = tf.gather(logits, lower, axis=1)
    return top + (tf.gather(logits, upper, axis=1) - top) * weight[:, tf.newaxis, tf.newaxis]


def _probabilities(logits: tf.Tensor, rows: list[tf.Tensor], columns: list[tf.Tensor]) -> tf.Tensor:
    """Interpolate logits (n, h, w, classes) at nodes, and give their probabilities times the nodes' shares."""
    (*_, row_share), (*_, column_share) = rows, columns
    return tf.nn.softmax(_logits(logits, rows, columns)) * (row_share[:, tf.newaxis] * column_share)[..., tf.newaxis]
