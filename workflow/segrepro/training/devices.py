"""How TensorFlow computes, and the devices of a training: as many of the GPUs that its process sees as it asks for."""

import os
from typing import Any

import keras
import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.errors import UserError
from segrepro.provenance.code import UNKNOWN
from segrepro.training.choices import gpus_that_share

AUTOTUNE = "TF_CUDNN_USE_AUTOTUNE"  # TensorFlow reads it where it builds a convolution (core/util/use_cudnn.cc)


def prepare_tensorflow(
    threads: int,
    protocol: Protocol | None = None,
    *,
    gpus: int = 1,
    deterministic: bool = True,
    one_size: bool = False,
) -> None:
    """Settle how TensorFlow computes; to be called before anything is computed.

    Args:
        threads: CPU cores to keep to.
        protocol: of the model, for its ``precision`` and ``tf32``; None for one that has none: plain float32.
        gpus: as of `use_gpus`.
        deterministic: whether the same inputs must give the same bits each time.
        one_size: whether all that a network is given has one size. Elsewhere cuDNN would try out its algorithms again
            for each size; and of a deterministic run the algorithms must not depend on what was fastest just then.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    use_gpus(gpus)
    if tf.config.get_visible_devices("GPU") and (deterministic or not one_size):
        os.environ.setdefault(AUTOTUNE, "0")
    keras.mixed_precision.set_global_policy(protocol.precision if protocol else "float32")
    tf.config.experimental.enable_tensor_float_32_execution(bool(protocol and protocol.tf32))


def use_gpus(count: int) -> None:
    """Show TensorFlow the first ``count`` GPUs that this process sees (``CUDA_VISIBLE_DEVICES``), and no other.

    To be called before TensorFlow has used any device. One is used where there is one; 0 is for CPUs. Where several are
    asked for and there are fewer, that is a `UserError`.
    """
    seen = tf.config.list_physical_devices("GPU")
    if 1 < count > len(seen):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise UserError(
            f"{count} GPUs are asked for, and this process sees {len(seen)}"
            f"{'' if visible is None else f' (CUDA_VISIBLE_DEVICES={visible})'}: set runtime.gpus (by hand: --gpus), "
            "or give it more."
        )
    tf.config.set_visible_devices(seen[:count], "GPU")
    for gpu in seen[:count]:
        tf.config.experimental.set_memory_growth(gpu, True)


def devices_strategy(micro_batch: int) -> tf.distribute.Strategy:
    """Return MirroredStrategy where several GPUs of `use_gpus` share a micro-batch, else the default strategy."""
    gpus = tf.config.list_logical_devices("GPU")
    sharing = gpus_that_share(micro_batch, len(gpus))
    if sharing > 1:
        return mirrored([gpu.name for gpu in gpus[:sharing]])
    return tf.distribute.get_strategy()


def mirrored(devices: list[str]) -> tf.distribute.Strategy:
    """Return the strategy that divides each micro-batch among devices and keeps a copy of the variables on each.

    TensorFlow's arithmetic optimiser is off then, for the whole process: it sums the terms of an update in another
    order on the first device than on others, so that the copies would drift apart, and a checkpoint keeps the first.
    """
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    return tf.distribute.MirroredStrategy(devices)


def devices_record(replicas: int, protocol: Protocol) -> dict[str, Any]:
    """Return what ``made.json`` says of the devices of a training whose micro-batches ``replicas`` devices share.

    ``shared_by`` (replicas), ``gpus``: for each GPU its ``name``, ``compute_capability`` and ``id`` (number or UUID as
    in ``CUDA_VISIBLE_DEVICES``), none on CPUs; and ``alone``, why no more than one could share, else None.
    """
    given = [word.strip() for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word.strip()]
    gpus = []
    for number, gpu in enumerate(tf.config.get_visible_devices("GPU")[:replicas]):
        details = tf.config.experimental.get_device_details(gpu)
        capability = details.get("compute_capability")
        gpus.append(
            {
                "name": details.get("device_name", UNKNOWN),
                "compute_capability": ".".join(map(str, capability)) if capability else UNKNOWN,
                "id": given[number] if number < len(given) else str(number),
            }
        )
    alone = None
    if protocol.micro_batch == 1:
        alone = "whole pictures come one by one" if protocol.crop is None else "a micro-batch is one crop"
    return {"shared_by": replicas, "gpus": gpus, "alone": alone}


def devices_sentence(record: dict[str, Any], micro_batch: int, asked: int) -> str:
    """Say for the log which devices (`devices_record`) a training has, and why not all that were asked for."""
    sentence = "devices: " + (", ".join(f"{gpu['name']} ({gpu['id']})" for gpu in record["gpus"]) or "CPU")
    replicas = record["shared_by"]
    if replicas > 1:
        sentence += f"; {replicas} share each micro-batch of {micro_batch}"
    if record["alone"]:
        return f"{sentence}; {record['alone']}, which several GPUs cannot share"
    if asked > max(replicas, 1):
        sentence += f"; {asked} would not divide a micro-batch of {micro_batch} evenly"
    return sentence
