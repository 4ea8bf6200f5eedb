"""Prediction of whole pictures: every picture of a manifest, once or in several views, into a score store."""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from segrepro.config.networks import DeconvNet, Network
from segrepro.config.systems import Prediction
from segrepro.data.parallel import progress_bar
from segrepro.data.pictures import picture_size
from segrepro.data.subsets import every_nth
from segrepro.errors import UserError
from segrepro.inference.augmented import AugmentedModel, at_output_stride
from segrepro.provenance.code import written_by
from segrepro.stores.manifests import Example
from segrepro.stores.same_pictures import check_whole_pictures
from segrepro.stores.scores import LOG_PROBABILITIES, LOGITS, ScoreWriter
from segrepro.training.augment import decode_picture

# Pictures of equal size share a batch up to this many pixels of network input: about five of 500 x 375, which keeps
# ResNet-101 at output stride 16 below 3 GB, and lets small pictures amortise the cost of a call.
PIXELS_PER_BATCH = 1 << 20
PIXELS_AT_STRIDE = 16  # at output stride 8 the features, and so the memory, are four times as many

PLAIN = Prediction()


def batches_by_size(
    examples: list[Example], *, pixels: int = PIXELS_PER_BATCH, input_pixels: Callable[[int, int], int] = operator.mul
) -> list[list[Example]]:
    """Group examples by picture size, in order of size and id, into batches of at most ``pixels`` of network input.

    A larger picture is a batch by itself. ``input_pixels`` gives those of a picture of (height, width).
    """
    by_size: dict[tuple[int, int], list[Example]] = defaultdict(list)
    for example in sorted(examples):
        by_size[picture_size(example.image)].append(example)
    batches = []
    for (width, height), group in sorted(by_size.items()):
        count = max(1, pixels // max(1, input_pixels(height, width)))
        batches += [group[start : start + count] for start in range(0, len(group), count)]
    return batches


def _decoded(batches: list[list[Example]]) -> Iterator[tf.Tensor]:
    """Yield uint8 (n, H, W, 3) for each batch, decoded ahead of their use; a `UserError` names a damaged picture."""
    paths = tf.data.Dataset.from_generator(
        lambda: ([str(example.image) for example in batch] for batch in batches),
        output_signature=tf.TensorSpec([None], tf.string),
    )
    decode = tf.function(lambda p: tf.map_fn(decode_picture, p, fn_output_signature=tf.uint8))
    stream = iter(paths.map(decode, num_parallel_calls=1).prefetch(1))
    for batch in batches:
        try:
            pictures = next(stream)
        except tf.errors.InvalidArgumentError as error:
            raise UserError(_damaged(batch)) from error
        yield pictures


def _damaged(batch: list[Example]) -> str:
    for example in batch:
        try:
            decode_picture(tf.constant(str(example.image)))
        except tf.errors.InvalidArgumentError:
            return f"{example.image}: damaged, it cannot be decoded; convert its dataset again."
    return f"{batch[0].image}: cannot be decoded with the pictures of its size; convert its dataset again."


def _logits_of(model: keras.Model) -> Callable[[tf.Tensor], np.ndarray]:
    forward = tf.function(
        lambda pictures: model(tf.cast(pictures, tf.float32), training=False),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    return lambda pictures: np.asarray(forward(pictures), np.float32)


def predict(
    model: keras.Model,
    examples: list[Example],
    out: Path,
    *,
    system: str,
    label_space: str,
    network: Network,
    augmentation: Prediction = PLAIN,
    shard: str | None = None,
) -> None:
    """Fill a score store with a model's scores.

    Without augmentation these are its logits at the network's own stride; of one view at a storage stride, or of a
    padded picture, the logits too; of several views log-probabilities of their mean (`segrepro.inference.augmented`).

    Args:
        model: takes (n, H, W, 3), values 0..255, any size; was built from ``network``.
        examples: the manifest's rows, whole pictures.
        out: the store to write.
        system: its name.
        label_space: of the model's classes.
        network: what the model was built from.
        augmentation: scales, flip, windows, another output stride.
        shard: ``k/n`` for the k-th of every n batches. Batches and not pictures are shared out: what shares a batch
            can change a score's last bit, and so each picture keeps its company, and its score, in any shard.

    Raises:
        UserError: a shard is none, a row has a box, a picture cannot be read, the scores hold NaN, or the network has
            no such output stride, or takes boxes instead of whole pictures.
    """
    if isinstance(network, DeconvNet):
        raise UserError(
            f"system '{system}': its network is a {network.architecture}, which predicts boxes and no whole "
            "pictures; give --proposals, or --whole for the picture as one box."
        )
    check_whole_pictures(examples, "the manifest")
    model = at_output_stride(model, network, augmentation.output_stride)
    output_stride = augmentation.output_stride or getattr(network, "output_stride", PIXELS_AT_STRIDE)
    pixels = int(PIXELS_PER_BATCH * min(1.0, output_stride / PIXELS_AT_STRIDE) ** 2)
    batches = batches_by_size(examples, pixels=pixels, input_pixels=augmentation.largest_input)
    if shard:
        batches = every_nth(batches, shard, "batches of pictures of one size")
    augmented = partial(AugmentedModel, model, augmentation, resize=network.resize)
    scores_of = _logits_of(model) if augmentation.is_plain else augmented()
    kind = LOGITS if augmentation.has_logits else LOG_PROBABILITIES
    header = {"system": system, "label_space": label_space, "kind": kind, "resize": network.resize}
    with (
        ScoreWriter(out, **header, code=written_by(__name__)) as store,
        progress_bar(system, total=sum(map(len, batches))) as progress,
    ):
        for batch, pictures in zip(batches, _decoded(batches), strict=True):
            for example, scores in zip(batch, scores_of(pictures), strict=True):
                store.add(example.id, scores, size=tuple(pictures.shape[1:3]))
            progress.update(len(batch))
