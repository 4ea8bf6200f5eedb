"""From a spec and a manifest to a trained model: what ``segrepro train`` does.

What happens, in order:

1. The spec is read and checked; its ``protocol`` is the section of that name (`segrepro.config.protocols`).
2. TensorFlow is told how to compute, and by how many GPUs a micro-batch is shared (`segrepro.training.devices`).
3. The manifest's examples are read, some held out for a plateau, and every mask is checked (``mask_check``).
4. The network is built from the seed and given its first weights; what is to stay as it is, is frozen (``initial``).
5. A stream of examples is set up: shuffled by (seed, position), scaled, cropped, mirrored (``input``, ``augment``).
6. The newest checkpoint of the same spec, data and initial weights, if any, is loaded (``trainer``, ``checkpoints``).
7. Each step: the gradients of each micro-batch (``step``, ``losses``) are averaged, and one update is made by the
   schedule's rate, with momentum and weight decay (``schedules``, ``optimiser``).
8. Every ``log_every`` steps a row of the history; by time a checkpoint; at a signal a checkpoint and the end.
9. After the last step, where the protocol asks for it, batch norm's statistics are estimated again (``batch_norm``).
10. History, ``made.json`` and last the model are written, each to a temporary name and renamed.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.config.spec import ModelSpec
from segrepro.errors import UserError
from segrepro.files import file_digest
from segrepro.locks import locked_in_turn
from segrepro.models.layers import neutral_pixel
from segrepro.models.model_files import save_model
from segrepro.provenance.made import note_devices, note_training_code, training_code, write_made
from segrepro.stores.manifests import Example, read_manifest
from segrepro.training.augment import BLACK
from segrepro.training.batch_norm import reestimate_batch_norm
from segrepro.training.devices import devices_record, devices_sentence, devices_strategy, prepare_tensorflow
from segrepro.training.initial import initial_model
from segrepro.training.input import ExampleStream, on_device, statistics_batches, training_batches
from segrepro.training.mask_check import check_masks
from segrepro.training.memory import check_memory, levers
from segrepro.training.plateau import hold_out
from segrepro.training.trainer import Trainer


@dataclass(frozen=True)
class Run:
    """Where a training's results go, and how it may compute.

    The fields are the options of ``segrepro train`` and have their names.
    """

    model: Path
    history: Path
    checkpoints: Path  # each experiment (spec, data, init) has a folder in it
    checkpoint_minutes: float
    checkpoint_every: int | None
    threads: int
    gpus: int  # that share each micro-batch, at most
    deterministic: bool
    init: Path | None
    tensorboard: Path | None
    made: Path | None
    argv: list[str]  # the command, to be written into ``made``


def train(spec: ModelSpec, manifest: Path, run: Run) -> None:
    """Train a model, or go on with it from its newest checkpoint, and write ``model.keras`` and ``history.csv``.

    While another process trains the very same model (one that outlived the run that started it), this one waits, and
    then goes on from what is there.

    Raises:
        UserError: an input cannot be used, there are fewer GPUs than asked for, or the training diverged.
        TrainingStopped: a signal asked to stop; a checkpoint is saved.
    """
    protocol = spec.protocol
    one_size = protocol.crop is not None
    prepare_tensorflow(run.threads, protocol, gpus=run.gpus, deterministic=run.deterministic, one_size=one_size)
    strategy = devices_strategy(protocol.micro_batch)
    devices = devices_record(strategy.num_replicas_in_sync, protocol) | {"deterministic": run.deterministic}
    print(devices_sentence(devices, protocol.micro_batch, run.gpus), file=sys.stderr)
    examples, held_out = _checked_examples(spec, manifest, run.threads)
    with strategy.scope():
        model = initial_model(spec, run.init)
    stream_options = {"seed": spec.seed, "threads": run.threads, "fill": crop_fill(model, protocol)}
    stream = ExampleStream(examples, protocol, **stream_options)
    folder = run.checkpoints / fingerprint(spec, manifest, run.init)
    with locked_in_turn(folder.with_suffix(".lock"), f"{folder}"):
        trainer = Trainer(
            model,
            protocol,
            resize=spec.network.resize,
            strategy=strategy,
            checkpoint_folder=folder,
            checkpoint_minutes=run.checkpoint_minutes,
            checkpoint_every=run.checkpoint_every,
            validation=ExampleStream(held_out, protocol, **stream_options).in_order() if held_out else None,
            tensorboard=run.tensorboard,
        )
        noted = {"codes": note_training_code(folder, training_code(), resumed=trainer.step > 0)}
        noted["devices"] = note_devices(folder, devices, resumed=trainer.step > 0)
        check_memory(model, spec, devices, examples)
        batches = training_batches(stream, start_step=trainer.step)
        if devices["gpus"] and devices["shared_by"] == 1:
            batches = on_device(batches, "GPU:0")
        _run(trainer, batches)
        if protocol.batch_norm_passes:
            reestimate_batch_norm(model, statistics_batches(stream))
        trainer.write_history(run.history)
        if run.made is not None:
            write_made(run.made, spec, argv=run.argv, **noted, training_set=manifest, initial_weights=run.init)
        save_model(model, run.model, spec)


def _checked_examples(spec: ModelSpec, manifest: Path, threads: int) -> tuple[list[Example], list[Example]]:
    """Return the examples to train on and those that are held out (none but for a plateau)."""
    examples, held_out = read_manifest(manifest), []
    if spec.protocol.schedule == "plateau":
        examples, held_out = hold_out(examples, spec.protocol.validation_pictures, spec.seed)
    for part in filter(None, (examples, held_out)):
        check_masks(part, spec.label_space, threads=threads)
    return examples, held_out


def crop_fill(model: keras.Model, protocol: Protocol) -> tuple[float, float, float]:
    """Return the RGB value, 0..255, that fills crops beside their picture, by the protocol's ``pad_picture``."""
    return neutral_pixel(model) if protocol.pad_picture == "mean" else BLACK


def fingerprint(spec: ModelSpec, manifest: Path, init: Path | None) -> str:
    """Return what a checkpoint must share with a training to be continued by it: spec, data list and init."""
    parts = [spec.content(), file_digest(manifest), file_digest(init) if init else ""]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _run(trainer: Trainer, batches: tf.data.Dataset) -> None:
    """Train; a device without memory left is an error with its remedies."""
    try:
        trainer.run(batches)
    except tf.errors.ResourceExhaustedError:
        ways = "; or ".join(levers(trainer.protocol, gpus=trainer.strategy.num_replicas_in_sync))
        raise UserError(f"out of memory at step {trainer.step + 1}: {ways}.") from None
