"""A step of the training, compiled: gradients of a micro-batch, their sum, the update.

A step is one optimiser update: ``accumulation`` micro-batches whose gradients are averaged, each normalised by its own
valid pixels (Caffe's ``iter_size``); batch norm sees the micro-batch. With several GPUs each micro-batch is divided
among them (`tf.distribute.MirroredStrategy`), and the step is that of one (`segrepro.models.replicas`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.models.replicas import check_shareable, with_overflow_of_others
from segrepro.training.losses import labels_at_stride, summed_cross_entropy, valid_pixels
from segrepro.training.remat import training_pass


class Steps(NamedTuple):
    """The compiled parts of a step; see `compile_steps`."""

    gradients: Callable
    add: Callable
    apply: Callable


def compile_steps(
    model: keras.Model,
    optimiser: keras.optimizers.Optimizer,
    protocol: Protocol,
    resize: str,
    strategy: tf.distribute.Strategy,
) -> Steps:
    """Compile the parts of a step as separate functions, so that accumulation holds one micro-batch's activations."""
    variables = model.trainable_variables
    replicas = strategy.num_replicas_in_sync
    forward = training_pass(model, protocol)
    if replicas > 1:
        check_shareable(model)

    def replica_gradients(pictures: tf.Tensor, labels: tf.Tensor) -> tuple:
        pictures = tf.cast(pictures, tf.float32)  # whole pixels are sent as uint8, in a quarter of the bytes
        with tf.GradientTape() as tape:
            logits = forward(pictures)
            if protocol.loss_at == "stride":
                labels = labels_at_stride(labels, tf.shape(logits)[1:3])
            valid = valid_pixels(labels)
            if replicas > 1:
                valid = tf.distribute.get_replica_context().all_reduce("SUM", valid)
            total, correct = summed_cross_entropy(logits, labels, loss_at=protocol.loss_at, resize=resize)
            loss = total / tf.maximum(valid, 1.0)
            # The FCN release minimises the sum over pixels; the history shows the mean all the same.
            scaled = optimiser.scale_loss(total if protocol.loss_normalisation == "none" else loss)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        return gradients, tf.stack([loss, correct, valid / replicas])

    @tf.function(reduce_retracing=True)  # whole pictures come in many sizes
    def gradients(pictures: Any, labels: Any) -> tuple:
        gradients, sums = strategy.run(replica_gradients, args=(pictures, labels))
        return gradients, strategy.reduce("SUM", sums, axis=None)

    @tf.function
    def add(total: Any, more: Any) -> Any:
        return strategy.run(lambda a, b: [x + y for x, y in zip(a, b, strict=True)], args=(total, more))

    @tf.function
    def apply(total: Any) -> None:
        def update(gradients: Any) -> None:
            gradients = [g / protocol.accumulation for g in gradients]
            if replicas > 1 and isinstance(optimiser, keras.optimizers.LossScaleOptimizer):
                gradients = with_overflow_of_others(gradients)
            optimiser.apply(gradients, variables)

        strategy.run(update, args=(total,))

    return Steps(gradients, add, apply)
