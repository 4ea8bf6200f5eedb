"""The input pipeline: a manifest becomes micro-batches that depend on the seed and the step alone."""

from typing import Any

import tensorflow as tf

from segrepro.data.manifests import Example
from segrepro.errors import UserError
from segrepro.training.augment import augment, decode_mask, decode_picture


def example_index(position: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Return which example stands at a position of the endless shuffled stream.

    Each epoch is a permutation of its own, computed from (seed, epoch) by a format-preserving cipher: no shuffle
    buffer whose state would have to be saved, so that a training can go on from any step.

    Args:
        position: int64 scalar, 0 for the first example of the first step.
        count: number of examples.
        seed: the experiment's seed.

    Returns:
        int64 scalar in 0..count-1.
    """
    epoch = position // count
    within = position % count
    key = tf.cast(tf.stack([tf.constant(seed, tf.int64), epoch]), tf.int32)
    return tf.random.experimental.index_shuffle(within, key, tf.constant(count - 1, tf.int64))


def training_batches(
    examples: list[Example], protocol: dict[str, Any], *, seed: int, start_step: int, threads: int
) -> tf.data.Dataset:
    """Return one element a step, from ``start_step`` to the last: pictures and masks of its micro-batches.

    Args:
        examples: the manifest's rows.
        protocol: `segrepro.config.Protocol` as a mapping.
        seed: the experiment's seed.
        start_step: steps done already; the stream goes on exactly there.
        threads: parallel decoders.

    Returns:
        A dataset of (float32 (accumulation, micro_batch, crop, crop, 3), uint8 (accumulation, micro_batch,
        crop, crop)).

    Raises:
        UserError: an example has no mask, or has a box (no protocol trains on boxes yet).
    """
    for example in examples:
        if example.mask is None:
            raise UserError(f"picture '{example.id}' has no mask; train on a dataset with ground truth.")
        if example.box is not None:
            raise UserError(f"picture '{example.id}' comes with a box; this protocol trains on whole pictures.")
    examples = [example for example in examples for _ in range(example.repeats)]
    pictures = tf.constant([str(example.image) for example in examples])
    masks = tf.constant([str(example.mask) for example in examples])
    micro_batch, accumulation = protocol["micro_batch"], protocol["accumulation"]
    batch = micro_batch * accumulation

    def load(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = example_index(position, len(examples), seed)
        picture, mask = decode_picture(pictures[index]), decode_mask(masks[index])
        return augment(picture, mask, tf.stack([tf.constant(seed, tf.int64), position]), protocol)

    stream = tf.data.Dataset.range(start_step * batch, protocol["steps"] * batch)
    stream = stream.map(load, num_parallel_calls=threads, deterministic=True)
    stream = stream.batch(micro_batch, drop_remainder=True).batch(accumulation, drop_remainder=True).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    return stream.with_options(options)
