"""What a training counts between two rows of its history, left on the device until somebody asks.

Reading a number off a GPU waits for all that it still has to do: asked for at every micro-batch, the next one cannot be
sent while this one runs.
"""

import numpy as np
import tensorflow as tf

MOST_UNREAD = 1000  # micro-batches; a row of the history may be farther away than the device should keep


class NotFiniteError(Exception):
    """The loss of a step, counted from 1, is not finite."""

    def __init__(self, step: int):
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class RunningSums:
    """Sums over micro-batches, in float64 and in their order, from 0 or from what a checkpoint has of `read`."""

    def __init__(self, values: np.ndarray | None = None):
        self._values = np.zeros(4) if values is None else np.array(values, np.float64)
        self._unread: list[tuple[int, tf.Tensor]] = []

    def add(self, step: int, sums: tf.Tensor) -> None:
        """Take a micro-batch's sums, float32 (3,): loss, correct pixels, valid pixels; steps are counted from 1."""
        self._unread.append((step, sums))
        if len(self._unread) >= MOST_UNREAD:
            self.read()

    def read(self) -> np.ndarray:
        """Return float64 (4,): loss, correct pixels, valid pixels, micro-batches; waits for the device.

        A loss that is not finite raises `NotFiniteError`.
        """
        if self._unread:
            steps, sums = zip(*self._unread, strict=True)
            self._unread = []
            for step, row in zip(steps, tf.stack(sums).numpy().astype(np.float64), strict=True):
                self._values += [*row, 1.0]
                if not np.isfinite(self._values[0]):
                    raise NotFiniteError(step)
        return self._values.copy()

    def take(self) -> np.ndarray:
        """Return the same, and start at 0."""
        values = self.read()
        self._values = np.zeros(4)
        return values
