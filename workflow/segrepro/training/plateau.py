"""The learning rate falls when accuracy on held-out pictures stops rising (DeconvNet paper, section 5.1)."""

import hashlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.errors import UserError
from segrepro.stores.manifests import Example
from segrepro.training.losses import summed_cross_entropy, valid_pixels


def hold_out(examples: list[Example], pictures: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Divide examples into those to train on and those of so many held-out pictures, by seed and picture id alone.

    Where nothing would be left to train on, that is a `UserError`.
    """
    ids = sorted({e.id for e in examples}, key=lambda i: hashlib.sha256(f"{seed}/{i}".encode()).digest())
    if pictures >= len(ids):
        raise UserError(
            f"validation_pictures is {pictures}, but the training set has {len(ids)} pictures: hold out fewer."
        )
    held = set(ids[:pictures])
    return [e for e in examples if e.id not in held], [e for e in examples if e.id in held]


class PlateauSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """``start * factor ** reductions``; `Plateau` counts the reductions, a float32 variable."""

    def __init__(self, *, start: float, factor: float):
        self.start, self.factor = start, factor
        self.reductions = keras.Variable(0.0, trainable=False, dtype="float32", name="reductions")

    def __call__(self, step: Any) -> Any:
        """Return the learning rate, a float32 scalar; it does not depend on ``step`` alone."""
        return self.start * keras.ops.power(self.factor, self.reductions)


class Plateau:
    """Watches the accuracy on held-out examples and counts the schedule's reductions.

    ``validation`` are batches of (pictures, masks), read again at each look.
    """

    def __init__(
        self, model: keras.Model, schedule: PlateauSchedule, protocol: Protocol, *, resize: str, validation: Any
    ):
        self.schedule, self.validation = schedule, validation
        self.every, self.patience = protocol.plateau_every, protocol.plateau_patience
        # All that a checkpoint needs: best pixel accuracy so far, looks without a better one, reductions.
        self.state = np.array([-1.0, 0.0, 0.0])

        @tf.function(reduce_retracing=True)
        def counts(pictures: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            logits = model(pictures, training=False)
            _, correct = summed_cross_entropy(logits, labels, loss_at="label", resize=resize)
            return tf.stack([correct, valid_pixels(labels)])

        self._counts = counts

    def restore(self, state: np.ndarray) -> None:
        """Go on from a checkpoint's state."""
        self.state = np.array(state, np.float64)
        self.schedule.reductions.assign(self.state[2])

    def after_step(self, step: int) -> None:
        """Look at the held-out pictures every ``plateau_every`` steps; reduce the rate after too many vain looks."""
        if step % self.every:
            return
        correct, valid = sum(self._counts(p, m).numpy().astype(np.float64) for p, m in self.validation)
        accuracy = correct / max(valid, 1.0)
        best, vain, reductions = self.state
        if accuracy > best:
            self.state = np.array([accuracy, 0.0, reductions])
        elif vain + 1 < self.patience:
            self.state = np.array([best, vain + 1, reductions])
        else:
            self.state = np.array([best, 0.0, reductions + 1])
            self.schedule.reductions.assign(reductions + 1)
