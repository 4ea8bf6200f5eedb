"""Whole-picture prediction: every picture of a manifest goes through the network once, into a score store."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from segrepro.data.manifests import Example
from segrepro.errors import UserError
from segrepro.inference.scores import ScoreWriter
from segrepro.training.augment import decode_picture

# Pictures of equal size share a batch up to this many pixels: about five of 500 x 375, which keeps ResNet-101 at
# output stride 16 below 3 GB, and lets small pictures amortise the cost of a call.
PIXELS_A_BATCH = 1 << 20


def batches_by_size(examples: list[Example]) -> list[list[Example]]:
    """Group examples by picture size, in order of size and id, into batches of at most `PIXELS_A_BATCH`.

    Raises:
        UserError: a picture is missing or unreadable.
    """
    by_size: dict[tuple[int, int], list[Example]] = defaultdict(list)
    for example in examples:
        try:
            with Image.open(example.image) as picture:
                by_size[picture.size].append(example)
        except (FileNotFoundError, UnidentifiedImageError) as error:
            raise UserError(
                f"{example.image}: cannot read the picture ({error}); convert its data set again."
            ) from None
    batches = []
    for (width, height), group in sorted(by_size.items()):
        count = max(1, PIXELS_A_BATCH // (width * height))
        batches += [group[start : start + count] for start in range(0, len(group), count)]
    return batches


def _decoded(batches: list[list[Example]]) -> Iterator[tf.Tensor]:
    """Yield uint8 (n, H, W, 3) for each batch, decoded ahead of their use."""
    paths = tf.data.Dataset.from_generator(
        lambda: ([str(example.image) for example in batch] for batch in batches),
        output_signature=tf.TensorSpec([None], tf.string),
    )
    decode = tf.function(lambda p: tf.map_fn(decode_picture, p, fn_output_signature=tf.uint8))
    return iter(paths.map(decode, num_parallel_calls=1).prefetch(1))


def predict(
    model: keras.Model, examples: list[Example], out: Path, *, system: str, label_space: str, resize: str
) -> None:
    """Fill a score store with a model's logits, at the network's own stride.

    Args:
        model: takes (n, H, W, 3), values 0..255, any size.
        examples: the manifest's rows, whole pictures.
        out: the store to write.
        system: name of the system, recorded in the store.
        label_space: of the model's classes.
        resize: how the logits are brought to picture size.

    Raises:
        UserError: a picture cannot be read, or the scores hold NaN.
    """
    forward = tf.function(
        lambda pictures: model(tf.cast(pictures, tf.float32), training=False),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    batches = batches_by_size(examples)
    with (
        ScoreWriter(out, system=system, label_space=label_space, kind="scores", resize=resize) as store,
        tqdm(total=len(examples), unit="picture", mininterval=10) as progress,
    ):
        for batch, pictures in zip(batches, _decoded(batches), strict=True):
            scores = np.asarray(forward(pictures), np.float32)
            size = (int(pictures.shape[1]), int(pictures.shape[2]))
            for example, score in zip(batch, scores, strict=True):
                store.add(example.id, score, size=size)
            progress.update(len(batch))
