"""Trains small twins of the networks on one device and on several virtual ones, for test_training_replicas.py.

Run by itself, because devices must be set up before TensorFlow starts: ``python replicas_run.py DEVICES FOLDER``. For
each network it writes ``<network>_one.npz`` and ``<network>_several.npz``: each variable's final value on each device.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from networks import built, micro_backbones
from segrepro.training.devices import mirrored
from training_setup import PROTOCOL, trainer_of

STEPS, MICRO_BATCH, CLASSES = 5, 8, 3
TRAINING = PROTOCOL | {"steps": STEPS, "micro_batch": MICRO_BATCH, "learning_rate": 0.01, "log_every": 1}


class Twin(NamedTuple):
    """A small network, the side of its crops in pixels, and what its protocol has besides `TRAINING`."""

    network: dict[str, Any]
    side: int
    besides: dict[str, Any]


TWINS = {
    "deeplabv3": Twin(
        {
            **{"architecture": "deeplabv3", "backbone": "resnet_v2_micro", "multi_grid": [1]},
            **{"aspp_channels": 4, "aspp_rates": [1]},
        },
        33,
        {"weight_decay_on": "all"},
    ),
    "deconvnet": Twin(
        {"architecture": "deconvnet", "backbone": "vgg_micro", "input_size": 32, "fc_channels": 6},
        32,
        {"accumulation": 2, "momentum_form": "caffe", "bias_rate_factor": 2.0},
    ),
    "fcn": Twin(
        {"architecture": "fcn", "backbone": "vgg_micro", "fc_channels": 7, "skip_stride": 8, "dropout": 0.5},
        32,
        {"loss_normalisation": "none", "learning_rate": 1e-7, "momentum": 0.99, "momentum_form": "caffe"},
    ),
}


def batches(side: int, accumulation: int) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Noise, and labels that the devices get unequally many valid pixels of."""
    rng = np.random.default_rng(0)
    shape = (STEPS, accumulation, MICRO_BATCH, side, side)
    pictures = rng.integers(0, 256, (*shape, 3)).astype(np.float32)
    labels = (pictures[..., 0] > 128).astype(np.uint8) + (pictures[..., 1] > 200)
    labels[:, :, 0, : side // 2] = labels[:, :, 3] = 255
    return [(tf.constant(x), tf.constant(y)) for x, y in zip(pictures, labels, strict=True)]


def copies(strategy: tf.distribute.Strategy, variable: keras.Variable) -> np.ndarray:
    """The variable's value on each device."""
    return np.stack([copy.numpy() for copy in strategy.experimental_local_results(variable.value)])


def train(name: str, strategy: tf.distribute.Strategy, folder: Path) -> None:
    """Train a twin; write its variables, before and after, and the history to ``folder``.npz."""
    keras.utils.clear_session()  # random states are numbered within a process
    network, side, besides = TWINS[name]
    protocol = TRAINING | {"crop": side} | besides
    with strategy.scope():
        model = built(network, CLASSES, seed=1)
    before = {f"before/{v.path}": v.numpy() for v in model.variables}
    trainer = trainer_of(folder, protocol, strategy, model)
    trainer.run(batches(side, protocol.accumulation))
    after = {f"after/{v.path}": copies(strategy, v) for v in trainer.state}
    np.savez(folder.with_suffix(".npz"), history=trainer.history, **before, **after)


def main(devices: int, folder: Path) -> None:
    """Train every twin on one device and on ``devices``."""
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * devices
    )
    tf.config.experimental.enable_op_determinism()
    strategies = {"one": tf.distribute.get_strategy(), "several": mirrored([f"CPU:{i}" for i in range(devices)])}
    with micro_backbones():
        for name in TWINS:
            for number, strategy in strategies.items():
                train(name, strategy, folder / f"{name}_{number}")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
