"""The trainer: one loop for every network, deterministic by (seed, step), resumable at any step.

Between steps (`segrepro.training.step`) nothing is read off the device but where the history, a checkpoint or the speed
asks for it (`segrepro.training.sums`).
"""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.models.operations import ESTIMATED_SPEED, step_operations
from segrepro.training import checkpoints
from segrepro.training.optimiser import build_optimiser
from segrepro.training.plateau import Plateau
from segrepro.training.progress import Progress
from segrepro.training.schedules import build_schedule
from segrepro.training.step import compile_steps
from segrepro.training.sums import NotFiniteError, RunningSums

HISTORY_COLUMNS = ("step", "learning_rate", "loss", "pixel_accuracy")


class TrainingStopped(Exception):
    """The training was asked to stop (SIGTERM, SIGINT) and has saved a checkpoint."""


class Trainer:
    """Trains one model by its protocol.

    Args:
        model: built under ``strategy.scope()``.
        protocol: how it is trained.
        resize: how logits are brought to picture size.
        strategy: from `segrepro.training.devices.devices_strategy`.
        checkpoint_folder: where checkpoints of this very experiment (spec and data) are.
        checkpoint_minutes: minutes between two checkpoints; there is one after the last step whatever they are.
        checkpoint_every: steps between two checkpoints besides, or None.
        validation: held-out batches of (pictures, masks), for ``schedule: plateau``.
        tensorboard: folder for TensorBoard event files, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        protocol: Protocol,
        *,
        resize: str,
        strategy: tf.distribute.Strategy,
        checkpoint_folder: Path,
        checkpoint_minutes: float,
        checkpoint_every: int | None = None,
        validation: tf.data.Dataset | None = None,
        tensorboard: Path | None = None,
    ):
        self.model, self.protocol, self.strategy = model, protocol, strategy
        self.checkpoint_folder = checkpoint_folder
        self.checkpoint_minutes, self.checkpoint_every = checkpoint_minutes, checkpoint_every
        self.writer = tf.summary.create_file_writer(str(tensorboard)) if tensorboard else None
        self.schedule = build_schedule(protocol)
        with strategy.scope():
            self.optimiser = build_optimiser(protocol, self.schedule, model)
            self.optimiser.build(model.trainable_variables)
        self.plateau = None
        if protocol.schedule == "plateau":
            self.plateau = Plateau(model, self.schedule, protocol, resize=resize, validation=validation)
        self.steps = compile_steps(model, self.optimiser, protocol, resize, strategy)
        self.state = [*model.variables, *self.optimiser.variables]
        self.history: list[tuple[float, ...]] = []
        self.sums = RunningSums()  # since the last row of the history
        self.step = self._resume()
        self._stop_asked = False
        self._saved_at = time.monotonic()

    def run(self, batches: tf.data.Dataset) -> None:
        """Train from the current step to the protocol's last; ``batches`` start there.

        Raises:
            UserError: the loss is not finite any more.
            TrainingStopped: SIGTERM or SIGINT came; a checkpoint of the finished steps is saved.
        """
        previous = {s: signal.signal(s, self._ask_stop) for s in (signal.SIGTERM, signal.SIGINT)}
        self._saved_at = time.monotonic()
        try:
            with self._progress() as progress:
                for pictures, labels in batches:
                    self._one_step(pictures, labels)
                    stops = self._stop_asked  # asked once: a signal after the save waits for the next step's
                    self._after_step(progress, saves=stops)
                    if stops and self.step < self.protocol.steps:
                        raise TrainingStopped
        except NotFiniteError as error:
            rate = float(self.schedule(error.step - 1))
            raise UserError(
                f"{error} (learning rate {rate:.3g}): lower the protocol's learning_rate, or look at the pictures and "
                "masks of its dataset."
            ) from None
        finally:
            if self.writer:
                self.writer.flush()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _one_step(self, pictures: tf.Tensor, labels: tf.Tensor) -> None:
        total = None
        for k in range(self.protocol.accumulation):
            gradients, sums = self.steps.gradients(self._shared(pictures[k]), self._shared(labels[k]))
            self.sums.add(self.step + 1, sums)
            total = gradients if total is None else self.steps.add(total, gradients)
            del gradients  # the next micro-batch needs the room of this one's
        self.steps.apply(total)
        self.step += 1

    def _after_step(self, progress: Progress, *, saves: bool) -> None:
        last = self.step == self.protocol.steps
        logs = last or self.step % self.protocol.log_every == 0
        saves = saves or last or self._save_is_due()
        waits = logs or saves or progress.wants_a_look(self.step)
        if waits:
            self.sums.read()
        if logs:
            self._log()
        if self.plateau:
            self.plateau.after_step(self.step)
        if saves:
            self._save()  # before anything is printed: the reader of the log may be gone
        progress.after_step(self.step, waited=waits, loss=self.history[-1][2] if self.history else None)

    def _save_is_due(self) -> bool:
        if self.checkpoint_every and self.step % self.checkpoint_every == 0:
            return True
        return time.monotonic() - self._saved_at >= 60 * self.checkpoint_minutes

    def _shared(self, batch: tf.Tensor) -> Any:
        """Divide a micro-batch among the replicas."""
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1:
            return batch
        share = batch.shape[0] // replicas
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: batch[context.replica_id_in_sync_group * share :][:share]
        )

    def _log(self) -> None:
        rate = float(self.schedule(self.step - 1))  # of the step that was just done
        loss, correct, valid, count = self.sums.take()
        row = (self.step, rate, loss / count, correct / max(valid, 1.0))
        self.history.append(row)
        if self.writer:
            with self.writer.as_default(step=self.step):
                for name, value in zip(HISTORY_COLUMNS[1:], row[1:], strict=True):
                    tf.summary.scalar(name, value)

    def write_history(self, path: Path) -> None:
        """Write history.csv: one row every ``log_every`` steps; loss and accuracy are means over those steps."""
        lines = [",".join(HISTORY_COLUMNS)]
        lines += [f"{int(s)},{rate:.9g},{loss:.6f},{accuracy:.6f}" for s, rate, loss, accuracy in self.history]
        with atomic_path(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n")

    def _save(self) -> None:
        checkpoints.save(
            self.checkpoint_folder,
            checkpoints.Checkpoint(
                self.step,
                [np.asarray(v.numpy()) for v in self.state],
                np.array(self.history, np.float64).reshape(-1, len(HISTORY_COLUMNS)),
                self.sums.read(),
                self.plateau.state if self.plateau else np.zeros(0),
            ),
        )
        self._saved_at = time.monotonic()

    def _resume(self) -> int:
        found = checkpoints.load_newest(self.checkpoint_folder, [tuple(v.shape) for v in self.state])
        if found is None:
            return 0
        for variable, value in zip(self.state, found.variables, strict=True):
            variable.assign(value)
        self.history = [tuple(row) for row in found.history]
        self.sums = RunningSums(found.running)
        if self.plateau:
            self.plateau.restore(found.plateau)
        print(f"going on from step {found.step} of {self.protocol.steps}", file=sys.stderr)
        return found.step

    def _ask_stop(self, number: int, frame: Any) -> None:
        self._stop_asked = True

    def _progress(self) -> Progress:
        examples = self.protocol.micro_batch * self.protocol.accumulation
        return Progress(
            first=self.step,
            last=self.protocol.steps,
            pictures=examples,
            operations=lambda: step_operations(self.model, crop=self.protocol.crop, examples=examples),
            estimate=ESTIMATED_SPEED,
        )
