"""The training loss: softmax cross-entropy that ignores void."""

import tensorflow as tf

from segrepro.labels import VOID
from segrepro.models.layers import resize_bilinear


def valid_pixels(labels: tf.Tensor) -> tf.Tensor:
    """Return how many labels are not void: float32 scalar."""
    return tf.reduce_sum(tf.cast(labels != VOID, tf.float32))


def summed_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, *, loss_at: str, resize: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum softmax cross-entropy over the pixels that are not void.

    Args:
        logits: (batch, h, w, classes) at the network's stride.
        labels: uint8 (batch, H, W), 255 = void.
        loss_at: ``"label"`` upsamples the logits to the labels (DeepLabv3 paper, table 1: 77.21 mIoU);
            ``"stride"`` takes `labels_at_stride` (75.94), which must have been applied to ``labels`` already.
        resize: how logits are brought to picture size, see `segrepro.models.layers.resize_bilinear`.

    Returns:
        The sum of the losses and the number of correctly classified valid pixels, float32 scalars.
    """
    if loss_at == "label":
        logits = resize_bilinear(logits, tf.shape(labels)[1:3], resize)
    logits = tf.cast(logits, tf.float32)
    valid = labels != VOID
    targets = tf.where(valid, tf.cast(labels, tf.int32), 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == targets
    return (
        tf.reduce_sum(tf.where(valid, losses, 0.0)),
        tf.reduce_sum(tf.cast(tf.logical_and(valid, correct), tf.float32)),
    )


def labels_at_stride(labels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Downsample labels to the logits' size by nearest neighbour: uint8 (batch, h, w)."""
    return tf.image.resize(labels[..., tf.newaxis], size, method="nearest")[..., 0]
