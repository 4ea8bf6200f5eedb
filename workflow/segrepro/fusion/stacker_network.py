"""The stacker's network and how it is fitted. Needs TensorFlow."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from segrepro.config.systems import Stacking
from segrepro.errors import UserError
from segrepro.fusion.stacker_data import FLOOR
from segrepro.labels import VOID


class MemberWeights(keras.layers.Layer):
    """A weighted sum over the members, ``sum_m weight[m, c] x[m, c] + bias[c]``, of which the mean is the start.

    On log-probabilities this is a product of the members' probabilities, each to the power of its weight: what
    ``fuse --kind product`` computes, but with a weight for each class, and learned.

    Shapes: (batch, h, w, members, classes) -> (batch, h, w, classes), any dtype -> float32.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create weights (members, classes), all 1 / members, and bias (classes,), all 0."""
        members, classes = input_shape[-2:]
        start = keras.initializers.Constant(1 / members)
        self.kernel = self.add_weight(shape=(members, classes), initializer=start, name="kernel")
        self.bias = self.add_weight(shape=(classes,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the weighted sum."""
        return ops.einsum("bhwmc,mc->bhwc", inputs, self.kernel) + self.bias


def stacker_network(members: int, classes: int, settings: Stacking, seed: int) -> keras.Model:
    """Return the network: from the members' scores to logits.

    Maps log-probabilities (batch, h + 2 m, w + 2 m, members, classes) to logits (batch, h, w, classes), m being
    ``settings.margin``: it pads nothing, so that a crop is treated as the same place of its picture. Of kind ``linear``
    it has one weight per member and class, and a bias per class; else three convolutions with ReLU between them.

    Of kind ``network``, the channels are all members' scores of all classes: it can learn which classes a member
    mistakes for each other. Of kind ``shared``, each class has a map of its own (an axis that no kernel spans), whose
    channels are the members' scores of that class: some hundred weights that every labelled cell fits, and no class is
    forgotten because few pictures have it.

    A residual network's answer is added to the mean of the members' log-probabilities, and its last layer starts at
    zero: the unfitted stacker is the members' product. Other weights start by He et al., the last by Glorot.
    """
    inputs = keras.Input((None, None, members, classes))
    if settings.kind == "linear":
        return keras.Model(inputs, MemberWeights(name="weights")(inputs), name="linear_stacker")
    if settings.kind == "shared":
        x, outputs, side = ops.moveaxis(inputs, 3, 4), 1, (settings.kernel, settings.kernel, 1)
        convolution = keras.layers.Conv3D
    else:
        x = ops.concatenate([inputs[..., member, :] for member in range(members)], axis=-1)
        outputs, side, convolution = classes, settings.kernel, keras.layers.Conv2D
    x = keras.layers.Rescaling(-1 / FLOOR, offset=1.0, name="to_unit_range")(x)  # `FLOOR`, and outside: 0
    for number in range(1, settings.layers):
        initial = keras.initializers.HeNormal(seed=seed + number)
        x = convolution(settings.channels, side, kernel_initializer=initial, name=f"convolution{number}")(x)
        x = ops.relu(x)
    initial = "zeros" if settings.residual else keras.initializers.GlorotUniform(seed=seed + settings.layers)
    x = convolution(outputs, side, kernel_initializer=initial, name=f"convolution{settings.layers}")(x)
    x = x[..., 0] if settings.kind == "shared" else x
    if settings.residual:
        x = x + keras.layers.Cropping2D(settings.margin, name="without_margin")(ops.mean(inputs, axis=-2))
    return keras.Model(inputs, x, name=f"{settings.kind}_stacker")


class StackerFitter:
    """Fits a stacker again and again from the same start, as folds need it; its graphs are built once.

    Adam, with a learning rate that falls to zero by half a cosine; coupled L2 on kernels. Under TensorFlow's
    deterministic operations the weights follow from the start (its seed), the batches and their order.
    """

    def __init__(self, settings: Stacking, *, members: int, classes: int, seed: int = 0):
        self.settings = settings
        self.model = stacker_network(members, classes, settings, seed)
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
        self.optimiser = keras.optimizers.Adam(rate)
        self.optimiser.build(self.model.trainable_variables)
        self._variables = [*self.model.variables, *self.optimiser.variables]
        self._start = [variable.numpy() for variable in self._variables]
        scores = tf.TensorSpec((None, None, None, members, classes), tf.float16)
        labels, weights = tf.TensorSpec((None, None, None), tf.uint8), tf.TensorSpec((classes,), tf.float32)
        self._step = tf.function(self._update, input_signature=[scores, labels, weights])
        self._answer = tf.function(self._logits, input_signature=[scores])

    def fit(self, batches: Iterable[tuple[np.ndarray, np.ndarray]], class_weights: np.ndarray) -> np.ndarray:
        """Fit from the start, and return the loss of each step, before its update.

        It is the weighted mean cross-entropy of the cells that are not void; one that is not finite is a `UserError`.

        Args:
            batches: one per step: scores float16 (batch, h + 2 m, w + 2 m, members, classes) and labels uint8
                (batch, h, w).
            class_weights: of the cells in the loss, by their label: (classes,).
        """
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)
        weights = class_weights.astype(np.float32)
        losses = np.array([self._step(scores, labels, weights).numpy() for scores, labels in batches])
        if not np.isfinite(losses).all():
            step = int(np.argmin(np.isfinite(losses)))
            raise UserError(f"the stacker's loss is not finite at step {step}; lower --learning-rate.")
        return losses

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """Return a picture's logits, float32 (h, w, classes), from its scores (h, w, members, classes)."""
        margin = self.settings.margin
        around = ((margin, margin), (margin, margin), (0, 0), (0, 0))
        padded = np.pad(scores.astype(np.float16), around, constant_values=np.float16(FLOOR))
        return self._answer(padded[np.newaxis])[0].numpy()

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a linear stacker's weights (members, classes) and bias (classes,), float32."""
        layer = self.model.get_layer("weights")
        return layer.kernel.numpy(), layer.bias.numpy()

    def _logits(self, scores: tf.Tensor) -> tf.Tensor:
        return self.model(tf.cast(scores, tf.float32))

    def _update(self, scores: tf.Tensor, labels: tf.Tensor, class_weights: tf.Tensor) -> tf.Tensor:
        variables = self.model.trainable_variables
        valid = labels != VOID
        targets = tf.where(valid, tf.cast(labels, tf.int32), 0)
        weights = tf.where(valid, tf.gather(class_weights, targets), 0.0)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, self._logits(scores))
            loss = tf.math.divide_no_nan(tf.reduce_sum(weights * losses), tf.reduce_sum(weights))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        decayed = [
            gradient + self.settings.weight_decay * variable if variable.name == "kernel" else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        self.optimiser.apply(decayed, variables)
        return loss
