"""Learning-rate schedules, as functions of the step (one step is one optimiser update)."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="segrepro")
class PolySchedule(keras.optimizers.schedules.LearningRateSchedule):
    """``end + (start - end) * (1 - step / steps) ** power`` (DeepLabv3 paper, section 4; TF ``polynomial_decay``).

    Args:
        start: learning rate at step 0.
        end: learning rate at ``steps`` and after.
        power: exponent (0.9 in all DeepLab papers).
        steps: number of steps of the training.
    """

    def __init__(self, *, start: float, end: float, power: float, steps: int):
        self.start, self.end, self.power, self.steps = start, end, power, steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at ``step``, a float32 scalar."""
        # Subtract before dividing: 1 - step / steps would lose the last digits near the end.
        share = ops.cast(ops.maximum(self.steps - step, 0), "float32") / self.steps
        return self.end + (self.start - self.end) * ops.power(share, self.power)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"start": self.start, "end": self.end, "power": self.power, "steps": self.steps}


@keras.saving.register_keras_serializable(package="segrepro")
class StepSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """``start * factor ** (step // every)`` (Caffe ``lr_policy: "step"``, as DeconvNet's solvers use).

    Args:
        start: learning rate at step 0.
        every: steps between two reductions.
        factor: what a reduction multiplies by.
    """

    def __init__(self, *, start: float, every: int, factor: float):
        self.start, self.every, self.factor = start, every, factor

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at ``step``, a float32 scalar."""
        return self.start * ops.power(self.factor, ops.cast(step // self.every, "float32"))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"start": self.start, "every": self.every, "factor": self.factor}


@keras.saving.register_keras_serializable(package="segrepro")
class PlateauSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """``start * factor ** reductions``, where something else counts the reductions (DeconvNet paper, section 5.1).

    Args:
        start: learning rate before any reduction.
        factor: what a reduction multiplies by.

    Attributes:
        reductions: float32 variable, how often the rate was reduced; see `segrepro.training.plateau`.
    """

    def __init__(self, *, start: float, factor: float):
        self.start, self.factor = start, factor
        self.reductions = keras.Variable(0.0, trainable=False, dtype="float32", name="reductions")

    def __call__(self, step: Any) -> Any:
        """Return the learning rate, a float32 scalar; it does not depend on ``step`` alone."""
        return self.start * ops.power(self.factor, self.reductions)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"start": self.start, "factor": self.factor}


def build_schedule(protocol: dict[str, Any]) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the schedule that a protocol (`segrepro.config.Protocol` as a mapping) asks for."""
    if protocol["schedule"] == "poly":
        return PolySchedule(
            start=protocol["learning_rate"],
            end=protocol["end_learning_rate"],
            power=protocol["power"],
            steps=protocol["steps"],
        )
    if protocol["schedule"] == "fixed":
        return PolySchedule(start=protocol["learning_rate"], end=0.0, power=0.0, steps=protocol["steps"])
    if protocol["schedule"] == "plateau":
        return PlateauSchedule(start=protocol["learning_rate"], factor=protocol["step_factor"])
    return StepSchedule(start=protocol["learning_rate"], every=protocol["step_every"], factor=protocol["step_factor"])
