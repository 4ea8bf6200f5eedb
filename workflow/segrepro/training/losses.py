"""The training loss: softmax cross-entropy that ignores void.

At label size the logits are the largest map of a training: 16 crops of 513 x 513 with COCO's 91 classes take 1.5 GB in
float32, and TensorFlow's deterministic cross-entropy (log-probabilities, a gather, and its gradient by scattering) has
four more. Here only the logits at the network's own stride are kept: the maps are made in the forward pass, dropped,
and made again in the backward pass; large ones for one example after the other. The gradient is written out, as
probabilities minus the target's one: nothing is scattered, so that it is deterministic on GPUs with any kernels.
"""

from collections.abc import Callable

import tensorflow as tf

from segrepro.labels import VOID
from segrepro.models.layers import resize_bilinear

FLOAT = 4  # bytes
# Up to this size of the logits at label size the batch is computed at once: less work where an operation takes
# microseconds, and little to save. 8 crops of the sample have 6 MB, 16 of 513 x 513 pixels and 21 classes 354 MB.
WHOLE_BATCH_BYTES = 2**26


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

    def at_labels(logits: tf.Tensor) -> tf.Tensor:
        if loss_at == "label":
            logits = resize_bilinear(logits, tf.shape(labels)[1:3], resize)
        return tf.cast(logits, tf.float32)

    valid = labels != VOID
    targets = tf.where(valid, tf.cast(labels, tf.int32), 0)
    losses, correct = _cross_entropy(logits, targets, at_labels)
    return (
        tf.reduce_sum(tf.where(valid, losses, 0.0)),
        tf.reduce_sum(tf.cast(tf.logical_and(valid, correct), tf.float32)),
    )


def _cross_entropy(
    logits: tf.Tensor, targets: tf.Tensor, at_labels: Callable[[tf.Tensor], tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return each pixel's loss, float32, and whether its target has the highest score; both (batch, H, W).

    Where a target is no class, a GPU gives no number (so that a wrong mask stops the training), a CPU an error.

    Args:
        logits: (batch, h, w, classes).
        targets: int32 (batch, H, W).
        at_labels: turns logits into float32 (batch, H, W, classes).
    """

    def forward(logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = at_labels(logits)
        chosen = tf.gather(tf.nn.log_softmax(scores), targets, batch_dims=3)
        no_class = (targets < 0) | (targets >= tf.shape(scores)[-1])
        losses = tf.where(no_class, float("nan"), -chosen)
        return losses, tf.argmax(scores, axis=-1, output_type=tf.int32) == targets

    def backward(logits: tf.Tensor, targets: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            scores = at_labels(logits)
        upstream = upstream[..., tf.newaxis]
        probabilities = tf.exp(tf.nn.log_softmax(scores))
        gradient = probabilities * upstream - tf.one_hot(targets, tf.shape(scores)[-1]) * upstream
        return tape.gradient(scores, logits, gradient)

    size = targets.shape.num_elements()
    in_one = logits.shape[0] == 1 or (size is not None and FLOAT * size * logits.shape[-1] <= WHOLE_BATCH_BYTES)
    apply = _at_once if in_one else _one_by_one

    @tf.custom_gradient
    def losses_of(logits: tf.Tensor) -> tuple:
        def gradient(upstream: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            return apply(backward, (logits, targets, upstream), logits.dtype)

        return apply(forward, (logits, targets), (tf.float32, tf.bool)), gradient

    return losses_of(logits)


def _at_once(function: Callable, batch: tuple, dtypes: tf.DType | tuple) -> tf.Tensor | tuple:
    del dtypes
    return function(*batch)


def _one_by_one(function: Callable, batch: tuple, dtypes: tf.DType | tuple) -> tf.Tensor | tuple:
    """Apply a function of a batch to its examples, each when the one before is done, and stack what it returns."""

    def of_one(example: tuple) -> tf.Tensor | tuple:
        return tf.nest.map_structure(lambda x: x[0], function(*(x[tf.newaxis] for x in example)))

    return tf.map_fn(of_one, batch, fn_output_signature=dtypes, parallel_iterations=1)


def labels_at_stride(labels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Downsample labels to the logits' size by nearest neighbour: uint8 (batch, h, w)."""
    return tf.image.resize(labels[..., tf.newaxis], size, method="nearest")[..., 0]
