"""What the tests of training share: a protocol, examples, a network that trains in a second."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from segrepro.config.protocols import Protocol
from segrepro.models.replicas import BatchNormalization
from segrepro.stores.manifests import Example
from segrepro.training.input import ExampleStream, training_batches
from segrepro.training.trainer import Trainer


class Changeable(Protocol):
    """A protocol, and by ``|`` one with other settings."""

    def __or__(self, changes: dict[str, Any]) -> "Changeable":
        return type(self).model_validate(self.model_dump() | changes)


PROTOCOL = Changeable(
    steps=6,
    micro_batch=2,
    crop=17,
    scale_range=[0.5, 2.0],
    flip=True,
    schedule="poly",
    learning_rate=0.05,
    end_learning_rate=1e-6,
    momentum=0.9,
    weight_decay=1e-4,
    weight_decay_on="all",
    log_every=2,
)


def write_examples(folder: Path) -> list[Example]:
    """Five pictures of noise with masks of labels 0..2 and a void row, of five sizes."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(5):
        picture, mask = folder / f"{i}.jpg", folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (20 + i, 24, 3), dtype=np.uint8)).save(picture)
        labels = rng.integers(0, 3, (20 + i, 24), dtype=np.uint8)
        labels[0] = 255
        Image.fromarray(labels).save(mask)
        made.append(Example(str(i), picture, mask))
    return made


def small_model(seed: int = 0, *, batch_norm: bool = True) -> keras.Model:
    """A convolution of stride 2 and three classes."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None, None, 3), name="picture")
    x = keras.layers.Rescaling(1 / 255, name="scale")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(x)
    x = BatchNormalization(name="bn")(x) if batch_norm else x
    x = keras.layers.Conv2D(3, 1, name="logits", dtype="float32")(keras.layers.ReLU(name="relu")(x))
    return keras.Model(inputs, x, name="small")


def trainer_of(folder, protocol=PROTOCOL, strategy=None, model=None, **options) -> Trainer:
    """A trainer of `small_model`, on one device unless told otherwise."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = model or small_model()
    return Trainer(
        model,
        protocol,
        resize="half_pixel",
        strategy=strategy,
        checkpoint_folder=folder,
        checkpoint_minutes=options.pop("checkpoint_minutes", 60.0),
        checkpoint_every=options.pop("checkpoint_every", 2),
        **options,
    )


def stream_of(examples: list[Example], protocol=PROTOCOL, *, seed: int = 3, threads: int = 1, **fill) -> ExampleStream:
    """The examples as the trainer sees them."""
    return ExampleStream(examples, protocol, seed=seed, threads=threads, **fill)


def batches_of(examples: list[Example], trainer: Trainer, protocol=PROTOCOL) -> tf.data.Dataset:
    """The steps that a trainer has still to do."""
    return training_batches(stream_of(examples, protocol), start_step=trainer.step)
