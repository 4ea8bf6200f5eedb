"""Test-time augmentation and sliding windows: a picture's probabilities as a mean over views of it.

A view is the picture at one scale, perhaps mirrored, perhaps cut into windows. Its logits are brought to a common
grid, become probabilities there (softmax *after* the interpolation) and are averaged; log-probabilities are stored.
That is what the released DeepLab code does at test time (``predict_labels_multi_scale``), and the papers report:
scales 0.5..1.75 in steps of 0.25, each mirrored too, at output stride 8.

Of a single view there is nothing to average: its logits themselves are stored, raw scores for who needs them
(EDeconvNet's product as released). Interpolation and fit are linear, so that the logarithm of a pixel's sum, by which
logits and log-probabilities differ, cancels in the reader's softmax.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segrepro.errors import UserError
from segrepro.inference.windows import Taps, ViewAxis
from segrepro.models.build import build_network
from segrepro.models.geometry import OUTPUT_STRIDES, feature_size
from segrepro.models.layers import neutral_pixel, resize_bilinear
from segrepro.stores.fitting import fit, log_probabilities
from segrepro.stores.resize import ALIGN_CORNERS
from segrepro.training.augment import pad_below_and_right

PICTURE, STRIDE = "picture", "stride"
AVERAGE_AT = (PICTURE, STRIDE)

DEFAULT_STORAGE_STRIDE = 4
PROBE = 257  # side of the picture by which a network's stride is told: 256 + 1


@dataclass(frozen=True)
class Augmentation:
    """How pictures are predicted; the default is each picture once, whole, as it is.

    Attributes:
        scales: factors of the picture's size.
        flip: whether each scale is also predicted mirrored.
        output_stride: of the network at test time, in pixels (8, 16, 32); None for that of the training.
        average_at: ``picture``: probabilities at full size are averaged (released DeepLab code), and a map at
            ``storage_stride`` is fitted to the mean; ``stride``: probabilities at the stride of the network's
            logits are averaged and stored, many times cheaper and less exact. Of a single view the logits take the
            place of the mean.
        window: side of square windows in pixels of the scaled picture, for pictures that do not fit; None for
            the whole.
        window_stride: pixels between windows; None for two thirds of the window (513: 342).
        storage_stride: pixels between the stored scores of ``average_at: picture``; None for 4.
        pad_to: least height and width in pixels, reached by padding below and to the right with what the network's
            normalisation turns into zeros, before anything else; None for pictures as they are. The DeepLab release
            evaluates at 513 (``eval_crop_size``), which its image pooling sees.

    Raises:
        UserError: a value is impossible.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    output_stride: int | None = None
    average_at: str = PICTURE
    window: int | None = None
    window_stride: int | None = None
    storage_stride: int | None = None
    pad_to: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
        if not self.scales or not all(0 < scale <= 8 for scale in self.scales):
            raise UserError(f"scales are {list(self.scales)}: give factors above 0 and up to 8, e.g. 0.5 1.0 1.5.")
        if len(set(self.scales)) < len(self.scales):
            raise UserError(f"scales are {list(self.scales)}: give each scale once.")
        if self.output_stride not in (None, *OUTPUT_STRIDES):
            raise UserError(f"output_stride is {self.output_stride}: use one of {_listing(OUTPUT_STRIDES)}.")
        if self.average_at not in AVERAGE_AT:
            raise UserError(f"average_at is '{self.average_at}': use one of {_listing(AVERAGE_AT)}.")
        for name in ("window", "window_stride", "storage_stride", "pad_to"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}: give a positive number of pixels.")
        if self.window_stride is not None and self.window is None:
            raise UserError("window_stride has no meaning without window: give both, or neither.")
        if self.window_stride is not None and self.window_stride > self.window:
            raise UserError(
                f"window_stride is {self.window_stride}, which leaves gaps between windows of {self.window} pixels: "
                "give at most the window's side."
            )
        if self.storage_stride is not None and self.average_at == STRIDE:
            raise UserError("storage_stride has no meaning for average_at 'stride', which stores what it averages.")
        if self.pad_to is not None and self.average_at == STRIDE:
            raise UserError("pad_to needs average_at 'picture': the padding is cut off from a map of full size.")

    @property
    def is_plain(self) -> bool:
        """Whether there is one view, the whole picture: then its logits are stored as they come."""
        return self == Augmentation(output_stride=self.output_stride, average_at=self.average_at)

    @property
    def has_logits(self) -> bool:
        """Whether logits are stored, and not log-probabilities: there is one view, in one piece."""
        return len(self.views) == 1 and self.window is None

    @property
    def views(self) -> list[tuple[float, bool]]:
        """The (scale, mirrored) of each view."""
        return [(scale, mirrored) for scale in self.scales for mirrored in ((False, True) if self.flip else (False,))]

    def largest_input(self, height: int, width: int) -> int:
        """Return the pixels of the largest input that a picture gives the network."""
        side = self.window or np.inf
        extents = (max(extent, self.pad_to or 0) * max(self.scales) for extent in (height, width))
        return int(math.prod(min(extent, side) for extent in extents))


def _listing(values: tuple) -> str:
    return ", ".join(map(str, values))


def at_output_stride(model: keras.Model, network: Mapping[str, Any], output_stride: int | None) -> keras.Model:
    """Rebuild a model at another output stride with the same weights.

    Args:
        model: built from ``network``.
        network: the description, as in the model's spec.
        output_stride: 8, 16 or 32; None leaves the model as it is.

    Raises:
        UserError: the network has no such output stride, or the model was built from another description.
    """
    if output_stride in (None, network.get("output_stride")):
        return model
    rebuilt = build_network({**network, "output_stride": output_stride}, model.output_shape[-1])
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

    def __init__(self, model: keras.Model, augmentation: Augmentation, *, resize: str) -> None:
        self.augmentation = augmentation
        self.resize = resize
        self.classes = model.output_shape[-1]
        self.fill = neutral_pixel(model) if augmentation.pad_to else None
        self.stride = logits_stride(model) if augmentation.average_at == STRIDE else 1
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
        """Predict pictures of one size.

        Args:
            pictures: uint8 (n, H, W, 3).

        Returns:
            float32 (n, h, w, classes), h = ceil(H / stride) with the storage stride or the logits' stride: what
            the reader of a score store, by the same ``resize``, brings back to the mean at full size. Logarithms of
            probabilities, or the logits of the only view.
        """
        scores = self._over_views(pictures)
        if not self.augmentation.has_logits:
            scores = log_probabilities(scores)
        if self.augmentation.average_at == STRIDE:
            return scores
        stride = self.augmentation.storage_stride or DEFAULT_STORAGE_STRIDE
        return np.stack([fit(each, stride, self.resize) for each in scores])

    def mean_probabilities(self, pictures: tf.Tensor) -> np.ndarray:
        """Return the mean over all views: float32 (n, h, w, classes), at full size or at the logits' stride."""
        mean = self._over_views(pictures)
        return tf.nn.softmax(mean).numpy() if self.augmentation.has_logits else mean

    def _over_views(self, pictures: tf.Tensor) -> np.ndarray:
        """Return the mean probabilities over the views, or the logits of the only one."""
        size = (int(pictures.shape[1]), int(pictures.shape[2]))
        pictures = tf.cast(pictures, tf.float32)
        if self.augmentation.pad_to:
            missing = [max(0, self.augmentation.pad_to - extent) for extent in size]
            pictures = pad_below_and_right(pictures, missing, self.fill)
        mean = self._mean_over_views(pictures)
        return mean[:, : size[0], : size[1]] if self.augmentation.pad_to else mean

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
        down, across = (
            ViewAxis(
                size[axis], int(scaled.shape[1 + axis]), total.shape[1 + axis], self.resize, mirror, window, stride
            )
            for axis, mirror in enumerate((False, mirrored))
        )
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
