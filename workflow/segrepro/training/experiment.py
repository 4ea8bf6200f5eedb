"""From a spec and a manifest to a trained model: what ``segrepro train`` does."""

import hashlib
import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from segrepro.errors import UserError
from segrepro.files import file_digest
from segrepro.locks import locked_in_turn
from segrepro.models.blocks import freeze_batch_norm
from segrepro.models.build import build_network
from segrepro.models.importing import load_weights
from segrepro.models.layers import neutral_pixel
from segrepro.provenance.made import note_devices, note_training_code, write_made
from segrepro.stores.manifests import Example, read_manifest
from segrepro.training.augment import BLACK
from segrepro.training.batch_norm import reestimate_batch_norm
from segrepro.training.devices import devices_record, devices_sentence, devices_strategy, use_gpus
from segrepro.training.input import ExampleStream, on_device, statistics_batches, training_batches
from segrepro.training.mask_check import check_masks
from segrepro.training.memory import gpu_memory, levers, longest_side, memory_sentence, model_memory, too_little_memory
from segrepro.training.model_files import load_model, save_model, transfer_weights
from segrepro.training.plateau import hold_out
from segrepro.training.specs import check_init
from segrepro.training.trainer import Trainer

AUTOTUNE = "TF_CUDNN_USE_AUTOTUNE"  # TensorFlow reads it where it builds a convolution (core/util/use_cudnn.cc)


def crop_fill(model: keras.Model, protocol: dict[str, Any]) -> tuple[float, float, float]:
    """Return the RGB value, 0..255, that fills crops beside their picture, by the protocol's ``pad_picture``."""
    return neutral_pixel(model) if protocol["pad_picture"] == "mean" else BLACK


def prepare_tensorflow(
    threads: int,
    protocol: Mapping[str, Any] | None = None,
    *,
    gpus: int = 1,
    deterministic: bool = True,
    one_size: bool = False,
) -> None:
    """Settle how TensorFlow computes; to be called before anything is computed.

    Args:
        threads: CPU cores to keep to.
        protocol: of the model, for its ``precision`` and ``tf32``; None for one that has none: plain float32.
        gpus: GPUs to take, of those that this process sees; 0 for CPUs alone.
        deterministic: whether the same inputs must give the same bits each time.
        one_size: whether all that a network is given has one size. Elsewhere cuDNN would try out its algorithms again
            for each size; and of a deterministic run the algorithms must not depend on what was fastest just then.
    """
    protocol = protocol or {}
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    use_gpus(gpus)
    if tf.config.get_visible_devices("GPU") and (deterministic or not one_size):
        os.environ.setdefault(AUTOTUNE, "0")
    keras.mixed_precision.set_global_policy(protocol.get("precision", "float32"))
    tf.config.experimental.enable_tensor_float_32_execution(protocol.get("tf32", False))


def fingerprint(spec: dict[str, Any], manifest: Path, init: Path | None) -> str:
    """Return what a checkpoint must share with a training to be continued by it: spec, data list and init."""
    parts = [json.dumps(spec, sort_keys=True), file_digest(manifest), file_digest(init) if init else ""]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def initial_model(spec: dict[str, Any], init: Path | None) -> keras.Model:
    """Build the spec's network and give it its first weights; what the protocol freezes is frozen.

    The log says which layers the file ``init`` had nothing for: those start from the seed.
    """
    model = build_network(spec["network"], spec["classes"], seed=spec["seed"])
    source = spec["init"]
    if source is not None and init is None:
        raise UserError(f"model '{spec['name']}' starts from other weights (init): give their file by --init.")
    if source is not None:
        if source["model"] is not None:
            check_init(init, source["model"])
            left = transfer_weights(load_model(init), model, head=source["head"])
        else:
            options = {"file_format": source["format"], "averages": source["averages"]}
            left = _layers_without(model, load_weights(model, spec["network"], init, **options))
        print(init_summary(model, init, left), file=sys.stderr)
    if spec["protocol"]["freeze_batch_norm"]:
        freeze_batch_norm(model)
    _freeze_layers(model, spec["protocol"]["frozen_layers"])
    return model


def _layers_without(model: keras.Model, variables: list[keras.Variable]) -> list[str]:
    given = {variable.path for variable in variables}
    return [layer.name for layer in model.layers if layer.weights and given.isdisjoint(w.path for w in layer.weights)]


def init_summary(model: keras.Model, init: Path, left: Collection[str]) -> str:
    """Return a line on what a network got from a file: how many variables, and the layers left as initialised.

    Args:
        model: the network.
        init: the file.
        left: names of the layers that the file had nothing for.
    """
    initialised = [layer for layer in model.layers if layer.name in left]
    total = len(model.weights)
    given = total - sum(len(layer.weights) for layer in initialised)
    names = ", ".join(layer.name for layer in initialised) or "none"
    return f"init: {init}: {given} of {total} variables set; layers left as initialised: {names}"


def _freeze_layers(model: keras.Model, prefixes: list[str]) -> None:
    for prefix in prefixes:
        frozen = [layer for layer in model.layers if layer.weights and layer.name.startswith(prefix)]
        if not frozen:
            raise UserError(
                f"frozen_layers: no layer of '{model.name}' has a name that starts with '{prefix}'; its layers are "
                f"{', '.join(layer.name for layer in model.layers if layer.weights)}."
            )
        for layer in frozen:
            layer.trainable = False


def train(
    spec: dict[str, Any],
    manifest: Path,
    *,
    model_path: Path,
    history_path: Path,
    checkpoint_folder: Path,
    threads: int,
    checkpoint_minutes: float,
    gpus: int = 1,
    checkpoint_every: int | None = None,
    deterministic: bool = True,
    init: Path | None = None,
    tensorboard: Path | None = None,
    made_path: Path | None = None,
    argv: list[str] | None = None,
) -> None:
    """Train a model, or go on with it from its newest checkpoint, and write ``model.keras`` and ``history.csv``.

    While another process trains the very same model (one that outlived the run that started it), this one waits, and
    then goes on from what is there.

    Args:
        spec: the resolved spec, every key of its protocol given.
        manifest: what it trains on.
        model_path: where the model goes.
        history_path: where its history goes.
        checkpoint_folder: parent of the checkpoints; each experiment (spec, data, init) has a folder in it.
        threads: CPU cores to use.
        gpus: GPUs that share each micro-batch, at most; 0 for CPUs alone.
        checkpoint_minutes: between two checkpoints.
        checkpoint_every: steps between two checkpoints besides, or None.
        deterministic: whether the same training must give the same bits each time.
        init: file of the initial weights, where the spec asks for one.
        tensorboard: folder for TensorBoard event files.
        made_path: where to write what made the model, if anywhere.
        argv: the command, to be written there.

    Raises:
        UserError: an input cannot be used, there are fewer GPUs than asked for, or the training diverged.
        TrainingStopped: a signal asked to stop; a checkpoint is saved.
    """
    protocol = spec["protocol"]
    one_size = protocol["crop"] is not None
    prepare_tensorflow(threads, protocol, gpus=gpus, deterministic=deterministic, one_size=one_size)
    strategy = devices_strategy(protocol["micro_batch"])
    devices = devices_record(strategy.num_replicas_in_sync, protocol) | {"deterministic": deterministic}
    print(devices_sentence(devices, protocol["micro_batch"], gpus), file=sys.stderr)
    examples, held_out = read_manifest(manifest), []
    if protocol["schedule"] == "plateau":
        examples, held_out = hold_out(examples, protocol["validation_pictures"], spec["seed"])
    for part in filter(None, (examples, held_out)):
        check_masks(part, spec["label_space"], threads=threads)
    with strategy.scope():
        model = initial_model(spec, init)
    stream_options = {"seed": spec["seed"], "threads": threads, "fill": crop_fill(model, protocol)}
    stream = ExampleStream(examples, protocol, **stream_options)
    folder = checkpoint_folder / fingerprint(spec, manifest, init)
    with locked_in_turn(folder.with_suffix(".lock"), f"{folder}"):
        trainer = Trainer(
            model,
            protocol,
            resize=spec["network"]["resize"],
            strategy=strategy,
            checkpoint_folder=folder,
            checkpoint_minutes=checkpoint_minutes,
            checkpoint_every=checkpoint_every,
            validation=ExampleStream(held_out, protocol, **stream_options).in_order() if held_out else None,
            tensorboard=tensorboard,
        )
        noted = {"codes": note_training_code(folder, resumed=trainer.step > 0)}
        noted["devices"] = note_devices(folder, devices, resumed=trainer.step > 0)
        _check_memory(model, spec, devices, examples)
        batches = training_batches(stream, start_step=trainer.step)
        if devices["gpus"] and devices["shared_by"] == 1:
            batches = on_device(batches, "GPU:0")
        _run(trainer, batches)
        if protocol["batch_norm_passes"]:
            reestimate_batch_norm(model, statistics_batches(stream))
        trainer.write_history(history_path)
        if made_path is not None:
            write_made(made_path, spec, argv=argv or [], **noted, training_set=manifest, initial_weights=init)
        save_model(model, model_path, spec)


def _check_memory(model: keras.Model, spec: dict[str, Any], devices: dict[str, Any], examples: list[Example]) -> None:
    """Say before the first step that the training will hardly fit into its GPUs' memory, and what to do about it.

    No error: the estimate has an allowance in it, and a training that does not fit stops at its first step.
    """
    protocol, gpus = spec["protocol"], devices["shared_by"]
    available = gpu_memory([gpu["id"] for gpu in devices["gpus"]])
    if available is None:
        return
    side = None if protocol["crop"] else longest_side([example.image for example in examples])
    estimate = model_memory(model, protocol, spec["network"]["resize"], gpus=gpus, side=side)
    sentence = too_little_memory(estimate, available, protocol, gpus=gpus)
    print(sentence or memory_sentence(estimate, available), file=sys.stderr)


def _run(trainer: Trainer, batches: tf.data.Dataset) -> None:
    """Train; a device without memory left is an error with its remedies."""
    try:
        trainer.run(batches)
    except tf.errors.ResourceExhaustedError:
        ways = "; or ".join(levers(trainer.protocol, gpus=trainer.strategy.num_replicas_in_sync))
        raise UserError(f"out of memory at step {trainer.step + 1}: {ways}.") from None
