"""Learning-rate schedules, as functions of the step (one step is one optimiser update)."""

from typing import Any

import keras
from keras import ops

from segrepro.config.protocols import Protocol
from segrepro.training.plateau import PlateauSchedule


class PolySchedule(keras.optimizers.schedules.LearningRateSchedule):
    """``end + (start - end) * (1 - step / steps) ** power`` (DeepLabv3 paper, section 4; TF ``polynomial_decay``).

    The rate is ``start`` at step 0, and ``end`` at ``steps`` and after; the power is 0.9 in all DeepLab papers.
    """

    def __init__(self, *, start: float, end: float, power: float, steps: int):
        self.start, self.end, self.power, self.steps = start, end, power, steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at ``step``, a float32 scalar."""
        # Subtract before dividing: 1 - step / steps would lose the last digits near the end.
        share = ops.cast(ops.maximum(self.steps - step, 0), "float32") / self.steps
        return self.end + (self.start - self.end) * ops.power(share, self.power)


def build_schedule(protocol: Protocol) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the schedule that a protocol asks for."""
    start, steps = protocol.learning_rate, protocol.steps
    if protocol.schedule == "poly":
        return PolySchedule(start=start, end=protocol.end_learning_rate, power=protocol.power, steps=steps)
    if protocol.schedule == "fixed":
        return PolySchedule(start=start, end=0.0, power=0.0, steps=steps)
    if protocol.schedule == "plateau":
        return PlateauSchedule(start=start, factor=protocol.step_factor)
    # Caffe's ``lr_policy: "step"``, as DeconvNet's solvers use: rate * factor ** (step // every).
    decay = keras.optimizers.schedules.ExponentialDecay
    return decay(start, protocol.step_every, protocol.step_factor, staircase=True)
