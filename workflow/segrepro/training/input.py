"""The input pipeline: a manifest becomes micro-batches that depend on the seed and the step alone."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from segrepro.config.protocols import Protocol
from segrepro.data.boxes import check_touches
from segrepro.data.pictures import picture_size
from segrepro.errors import UserError
from segrepro.stores.manifests import Example
from segrepro.training.augment import BLACK, augment, centre, decode_mask, decode_picture, keeps_whole_pixels
from segrepro.training.boxes import resized_box, single_object


def example_index(position: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Return which example stands at a position of the endless shuffled stream.

    Each epoch is a permutation of its own, computed from (seed, epoch) by a format-preserving cipher: no shuffle
    buffer whose state would have to be saved, so that a training can go on from any step. Position and index are int64
    scalars; position 0 is the first example of the first step.
    """
    epoch = position // count
    within = position % count
    key = tf.cast(tf.stack([tf.constant(seed, tf.int64), epoch]), tf.int32)
    return tf.random.experimental.index_shuffle(within, key, tf.constant(count - 1, tf.int64))


class ExampleStream:
    """The examples of a manifest as augmented pictures and masks, by position or in their own order.

    ``threads`` decode at once; ``fill`` is the RGB, 0..255, of crops beside their picture.

    Raises:
        UserError: an example has no mask; or it has a box and the protocol trains on whole pictures, or the other
            way round; or its box lies wholly outside the picture.
    """

    def __init__(
        self,
        examples: list[Example],
        protocol: Protocol,
        *,
        seed: int,
        threads: int,
        fill: tuple[float, float, float] = BLACK,
    ):
        _check(examples, boxes=protocol.box_size is not None)
        self.protocol, self.seed, self.threads, self.fill = protocol, seed, threads, fill
        self.distinct = len(examples)
        self.count = sum(example.repeats for example in examples)  # the length of an epoch
        self._rows = tf.repeat(tf.range(self.distinct), [example.repeats for example in examples])
        self._pictures = tf.constant([str(example.image) for example in examples])
        self._masks = tf.constant([str(example.mask) for example in examples])
        if protocol.box_size is not None:
            self._boxes = tf.constant([example.box for example in examples], tf.int32)
            self._instance_masks = tf.constant([str(example.instance_mask or "") for example in examples])
            self._instances = tf.constant([example.instance or 0 for example in examples], tf.uint8)

    def shuffled(self, first: int, last: int) -> tf.data.Dataset:
        """Return the augmented examples at positions first..last-1 of the endless shuffled stream.

        Pictures are (crop, crop, 3), uint8 where augmentation leaves whole pixels, else float32, and masks uint8
        (crop, crop); whole pictures where the protocol has no crop.
        """
        whole = keeps_whole_pixels(self.protocol, self.fill)

        def load(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            picture, mask = self._read(self._rows[example_index(position, self.count, self.seed)])
            seed = tf.stack([tf.constant(self.seed, tf.int64), position])
            picture, mask = augment(picture, mask, seed, self.protocol, fill=self.fill)
            return (tf.cast(picture, tf.uint8) if whole else picture), mask

        return self._mapped(tf.data.Dataset.range(first, last), load)

    def in_order(self) -> tf.data.Dataset:
        """Return every example once, whatever its repeats, without augmentation.

        They are float32 (1, H, W, 3) and uint8 (1, H, W), whole pictures; where the protocol has boxes, (n, crop, crop,
        3) and (n, crop, crop), their centres, n being micro_batch but for the last batch.
        """
        boxes, crop = self.protocol.box_size is not None, self.protocol.crop

        def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            picture, mask = self._read(index)
            if boxes:  # a DeconvNet takes no other size
                picture, mask = centre(picture, crop), centre(mask, crop)
            return tf.cast(picture, tf.float32), mask

        examples = self._mapped(tf.data.Dataset.range(self.distinct), load)
        return examples.batch(self.protocol.micro_batch if boxes else 1)

    def _read(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        picture, mask = decode_picture(self._pictures[index]), decode_mask(self._masks[index])
        if self.protocol.box_size is None:
            return picture, mask
        path = self._instance_masks[index]
        mask = tf.cond(path != "", lambda: single_object(mask, decode_mask(path), self._instances[index]), lambda: mask)
        return resized_box(picture, mask, self._boxes[index], self.protocol.box_size)

    def _mapped(self, stream: tf.data.Dataset, load: Any) -> tf.data.Dataset:
        options = tf.data.Options()
        options.threading.private_threadpool_size = self.threads
        return stream.map(load, num_parallel_calls=self.threads, deterministic=True).with_options(options)


def training_batches(stream: ExampleStream, *, start_step: int) -> tf.data.Dataset:
    """Return the pictures and masks of each step's micro-batches, from ``start_step`` to the protocol's last.

    uint8 or float32 (accumulation, micro_batch, crop, crop, 3) and uint8 (accumulation, micro_batch, crop, crop).
    """
    micro_batch, accumulation = stream.protocol.micro_batch, stream.protocol.accumulation
    batch = micro_batch * accumulation
    examples = stream.shuffled(start_step * batch, stream.protocol.steps * batch)
    return examples.batch(micro_batch, drop_remainder=True).batch(accumulation, drop_remainder=True).prefetch(2)


def on_device(batches: tf.data.Dataset, device: str) -> tf.data.Dataset:
    """Return the same batches, each in the memory of a device (``GPU:0``) before it is needed."""
    return batches.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=1))


def statistics_batches(stream: ExampleStream) -> tf.data.Dataset:
    """Return the pictures for `segrepro.training.batch_norm`: what the stream has after the training's last step.

    They are float32 (batch_norm_batch, crop, crop, 3), ``batch_norm_passes`` times.
    """
    protocol = stream.protocol
    first = protocol.steps * protocol.micro_batch * protocol.accumulation
    count = protocol.batch_norm_passes * protocol.batch_norm_batch
    pictures = stream.shuffled(first, first + count).map(lambda picture, mask: tf.cast(picture, tf.float32))
    return pictures.batch(protocol.batch_norm_batch).prefetch(1)


def _check(examples: list[Example], *, boxes: bool) -> None:
    for example in examples:
        if example.mask is None:
            raise UserError(f"picture '{example.id}' has no mask; train on a dataset with ground truth.")
        if example.box is not None and not boxes:
            raise UserError(
                f"picture '{example.id}' comes with a box, but this protocol trains on whole pictures: set its "
                "box_size, or give the model's dataset without 'examples'."
            )
        if example.box is None and boxes:
            raise UserError(
                f"picture '{example.id}' comes without a box, which this protocol's box_size asks for: give the "
                "model 'examples', or remove box_size."
            )
    sizes: dict[Path, tuple[int, int]] = {}
    for example in examples if boxes else ():
        if example.image not in sizes:
            sizes[example.image] = picture_size(example.image)
        check_touches(example.box, *sizes[example.image], name=str(example.image))
