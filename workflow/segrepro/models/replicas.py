"""Batch norm and dropout that do to a replica's share of a micro-batch what they would do to the whole of it.

On one device both are Keras' own, operation for operation. Where several share a micro-batch
(`tf.distribute.MirroredStrategy`, all shares of one size) they are what makes the training that of one device.
"""

from collections.abc import Callable

import keras
import tensorflow as tf


def _sharing() -> tf.distribute.ReplicaContext | None:
    """Return this replica's context, or None where the micro-batch is whole: on one device, or outside of steps."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


@tf.custom_gradient
def _mean_over_replicas(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return the mean of all replicas' ``x``, which each gets, and the function that does so to its gradients.

    `tf.distribute.ReplicaContext.all_reduce` has this gradient by itself, but in looking for variables its walk back
    through the graph goes on into the other replicas, for each of some hundred layers: tracing takes time by the square
    of the network's size. ``stop_gradient`` ends the walk.
    """

    def mean(x: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce("MEAN", tf.stop_gradient(x))

    return mean(x), mean


@keras.saving.register_keras_serializable(package="segrepro")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch norm over the whole micro-batch, also where replicas share it.

    Two sums over the replicas: of the values, which gives the mean, and of the squared deviations from it. Keras'
    ``synchronized=True`` takes E[x^2] - E[x]^2 instead (`keras.src.backend.tensorflow.nn._compute_moments_sync`), which
    loses in float32 what DeconvNet's epsilon of 1e-9 would have to be compared with. All replicas come to the same
    statistics, bit for bit, and so to the same moving ones.
    """

    def _moments(self, inputs, mask):
        if _sharing() is None:
            return super()._moments(inputs, mask)
        axes = self._reduction_axes
        mean = _mean_over_replicas(tf.reduce_mean(inputs, axes))
        # The deviations' sum over all replicas is 0, and with it what would flow back through this mean.
        deviations = tf.math.squared_difference(inputs, tf.stop_gradient(mean))
        return mean, _mean_over_replicas(tf.reduce_mean(deviations, axes))


@keras.saving.register_keras_serializable(package="segrepro")
class Dropout(keras.layers.Dropout):
    """Dropout whose mask is drawn for the whole micro-batch; a replica takes its share's part.

    Else all replicas, whose seeds are one, would drop the same features of their first examples, of their second, ...
    """

    def call(self, inputs, training=False):
        """Drop a share of the features (batch, height, width, channels) in training."""
        context = _sharing()
        if context is None or not training:
            return super().call(inputs, training=training)
        share = tf.shape(inputs)[0]
        whole = tf.concat([[share * context.num_replicas_in_sync], tf.shape(inputs)[1:]], 0)
        factors = super().call(tf.ones(whole, inputs.dtype), training=True)  # 0, or 1 / (1 - rate)
        return inputs * factors[context.replica_id_in_sync_group * share :][:share]


def check_shareable(model: keras.Model) -> None:
    """Raise a TypeError where a batch norm or dropout is Keras' own, which sees its replica's share only."""
    for layer in model.layers:
        of_keras = isinstance(layer, (keras.layers.BatchNormalization, keras.layers.Dropout))
        if of_keras and not isinstance(layer, (BatchNormalization, Dropout)):
            raise TypeError(f"layer '{layer.name}' sees a replica's share only: take that of segrepro.models.replicas.")


def with_overflow_of_others(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return a replica's gradients, not finite where those of any replica are not.

    `keras.optimizers.LossScaleOptimizer` decides by the first replica's alone whether to skip a step, before they are
    summed.
    """
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
    nothing = tf.distribute.get_replica_context().all_reduce("SUM", tf.where(finite, 0.0, float("nan")))
    return [gradients[0] + tf.cast(nothing, gradients[0].dtype), *gradients[1:]]
