"""Proposal-wise prediction, as DeconvNet's: object proposals are predicted one by one and pasted into one map.

Each box is resized to the square that the network takes (aspect not kept), its logits are resized back, and the
maps of all boxes are aggregated pixel by pixel (`segrepro.inference.aggregation`). A picture without a proposal
that is large enough is predicted whole, as one box.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from segrepro.config.networks import DeconvNet, Network
from segrepro.config.systems import ProposalWise
from segrepro.data.boxes import cut
from segrepro.data.parallel import progress_bar
from segrepro.data.pictures import picture_size
from segrepro.data.subsets import block
from segrepro.errors import UserError
from segrepro.inference.aggregation import AggregateMap, chosen
from segrepro.inference.box_resizing import BILINEAR, resized
from segrepro.provenance.code import written_by
from segrepro.stores.manifests import Example
from segrepro.stores.proposals import ProposalReader
from segrepro.stores.resize import HALF_PIXEL
from segrepro.stores.same_pictures import check_whole_pictures
from segrepro.stores.scores import LOG_PROBABILITIES, LOGITS, ScoreWriter
from segrepro.training.augment import decode_picture


def whole_picture(size: tuple[int, int]) -> np.ndarray:
    """Return the picture of (height, width) as the one box: int64 (1, 4)."""
    return np.array([[0, 0, size[1], size[0]]], np.int64)


def picture_boxes(
    proposals: ProposalReader, id: str, size: tuple[int, int], aggregation: ProposalWise
) -> tuple[np.ndarray, bool]:
    """Return the boxes by which a picture of (height, width) is predicted: int64 (n, 4), n at least 1.

    Also True where no proposal is large enough, and the box is the whole picture. A picture without an entry is a
    `UserError`.
    """
    boxes = chosen(proposals.boxes(id), size, aggregation, name=f"picture '{id}'")
    return (boxes, False) if len(boxes) else (whole_picture(size), True)


def input_size_of(network: Network, *, name: str) -> int:
    """Return the side in pixels of the square crops that a network takes.

    One that takes pictures of any size is a `UserError`, of the spec ``name``: there is nothing to resize a box to.
    """
    if not isinstance(network, DeconvNet):
        raise UserError(
            f"{name}: network.input_size is missing, which '{network.architecture}' does not have; predict box by box "
            "with a deconvnet, or this model without --proposals and --whole."
        )
    return network.input_size


class CropNetwork:
    """A network that takes squares, and pictures cut for it; nothing is traced again for another size of box.

    The model takes (n, side, side, 3), values 0..255, and gives logits (n, h, w, classes). ``shrink`` is how larger
    boxes are resized, see `segrepro.inference.box_resizing.resized`.
    """

    def __init__(self, model: keras.Model, side: int, shrink: str = BILINEAR) -> None:
        self.side = side
        self.classes = int(model.output_shape[-1])
        self._resized = tf.function(
            lambda picture: resized(picture, (side, side), shrink),
            input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
        )
        self._forward = tf.function(
            lambda crops: model(crops, training=False),
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32)],
        )

    def crop(self, picture: np.ndarray, box: Iterable[int], *, name: str) -> tf.Tensor:
        """Cut a box and resize it: uint8 (H, W, 3) -> float32 (side, side, 3); 0 beside the picture."""
        return self._resized(cut(picture, tuple(int(edge) for edge in box), fill=0, name=name))

    def logits(self, crops: list[tf.Tensor]) -> tf.Tensor:
        """Return float32 (n, h, w, classes) for n crops."""
        return tf.cast(self._forward(tf.stack(crops)), tf.float32)

    def in_batches(self, crops: Iterable[tuple[Any, tf.Tensor]], batch: int) -> Iterator[tuple[Any, tf.Tensor]]:
        """Yield the logits of each of (what it is, crop), predicted so many at once."""
        crops = iter(crops)
        while part := list(islice(crops, batch)):
            yield from zip((what for what, _ in part), self.logits([crop for _, crop in part]), strict=True)


def read_pixels(path: Path) -> np.ndarray:
    """Decode a picture as the training does: uint8 (H, W, 3) RGB; a `UserError` where it is missing or damaged."""
    try:
        return decode_picture(tf.constant(str(path))).numpy()
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
        raise UserError(f"{path}: missing or damaged, it cannot be decoded; convert its dataset again.") from None


def growing_maps(
    network: CropNetwork, picture: np.ndarray, boxes: np.ndarray, counts: list[int], *, aggregation: ProposalWise
) -> list[np.ndarray]:
    """Predict a picture, uint8 (H, W, 3), once, and keep its aggregate after some numbers of boxes.

    The boxes, int (n, 4), n at least 1, are in the order in which they are pasted; a count above n means all. For each
    count the aggregate is float32 (H, W, classes): probabilities or scores.
    """
    result, snapshots = AggregateMap(picture.shape[:2], network.classes, aggregation), {}
    boxes = boxes[: max(counts)]
    crops = ((box, network.crop(picture, box, name="the picture")) for box in boxes)
    for number, (box, logits) in enumerate(network.in_batches(crops, aggregation.batch), start=1):
        result.paste(logits, box)
        if number in counts or number == len(boxes):
            snapshots[number] = result.result()
    return [snapshots[min(count, len(boxes))] for count in counts]


@dataclass(frozen=True)
class _Stretch:
    """A stretch of the stream of all pictures' crops, in whole batches.

    What shares a batch can change a score's last bit. A shard therefore predicts the batches of a run without shards:
    those that hold its pictures' crops, with the crops of other pictures at both ends, whose scores are dropped.
    """

    examples: list[Example]  # with a crop in the stretch
    skipped: int  # crops of the first of these that come before the stretch
    length: int | None  # crops in the stretch; None: all to the end
    own: frozenset[str]  # ids of the pictures whose scores are kept


def _stretch(
    examples: list[Example], proposals: ProposalReader | None, aggregation: ProposalWise, shard: str | None
) -> _Stretch:
    if shard is None:
        return _Stretch(examples, 0, None, frozenset(example.id for example in examples))
    counts = np.array([_number_of_boxes(example, proposals, aggregation) for example in examples])
    ends, batch = np.cumsum(counts), aggregation.batch
    own = block(range(len(examples)), shard)
    first = (ends[own[0]] - counts[own[0]]) // batch * batch
    last = min(-(-ends[own[-1]] // batch) * batch, ends[-1])
    touched = np.flatnonzero((ends > first) & (ends - counts < last))
    skipped = first - (ends[touched[0]] - counts[touched[0]])
    ids = frozenset(examples[number].id for number in own)
    return _Stretch([examples[number] for number in touched], int(skipped), int(last - first), ids)


def _number_of_boxes(example: Example, proposals: ProposalReader | None, aggregation: ProposalWise) -> int:
    if proposals is None:
        return 1
    width, height = picture_size(example.image)
    return len(picture_boxes(proposals, example.id, (height, width), aggregation)[0])


class _Crop(NamedTuple):
    id: str
    size: tuple[int, int]  # of its picture
    box: np.ndarray


def predict_proposals(
    model: keras.Model,
    examples: list[Example],
    out: Path,
    *,
    proposals: ProposalReader | None,
    aggregation: ProposalWise,
    input_size: int,
    system: str,
    label_space: str,
    shard: str | None = None,
) -> list[str]:
    """Fill a score store with a model's scores, predicted box by box.

    Args:
        model: takes (n, input_size, input_size, 3), values 0..255, gives logits.
        examples: the manifest's rows, whole pictures.
        out: the store to write.
        proposals: the boxes of each picture; None for one box, the whole picture.
        aggregation: which boxes are predicted, and what becomes of their scores.
        input_size: side of the network's input, in pixels.
        system: name of the system, recorded in the store.
        label_space: of the model's classes.
        shard: ``k/n`` for the k-th of n blocks of pictures, which get the scores of a run without shards.

    Returns:
        The ids of (the shard's) pictures without a large enough proposal, in order: they were predicted whole.

    Raises:
        UserError: a shard is none, a picture cannot be read or has no proposals, a row or a proposal has a box that it
            should not have, or the scores hold NaN.
    """
    examples = sorted(examples)
    check_whole_pictures(examples, "the manifest")
    if proposals is not None:
        for example in examples:
            proposals.boxes(example.id)  # an hour of prediction should not end at a picture without an entry
    network, predicted_whole = CropNetwork(model, input_size, aggregation.shrink), []
    stretch = _stretch(examples, proposals, aggregation, shard)
    crops = islice(_crops(network, stretch, proposals, aggregation, predicted_whole), stretch.length)
    kind = LOG_PROBABILITIES if aggregation.of == "probabilities" else LOGITS
    header = {"system": system, "label_space": label_space, "kind": kind, "resize": HALF_PIXEL}
    with (
        ScoreWriter(out, **header, code=written_by(__name__)) as store,
        progress_bar(system, total=len(stretch.own)) as progress,
    ):
        for (id, size), answers in groupby(network.in_batches(crops, aggregation.batch), lambda answer: answer[0][:2]):
            if id in stretch.own:
                result = AggregateMap(size, network.classes, aggregation)
                for crop, logits in answers:
                    result.paste(logits, crop.box)
                store.add(id, result.stored(aggregation.storage_stride), size=size)
                progress.update()
    return predicted_whole


def _crops(
    network: CropNetwork,
    stretch: _Stretch,
    proposals: ProposalReader | None,
    aggregation: ProposalWise,
    predicted_whole: list[str],
) -> Iterator[tuple[_Crop, tf.Tensor]]:
    """Yield the crops of a stretch, and note whose pictures have no proposal."""
    skipped = stretch.skipped
    for example in stretch.examples:
        picture = read_pixels(example.image)
        size = picture.shape[:2]
        if proposals is None:
            boxes, is_whole = whole_picture(size), False
        else:
            boxes, is_whole = picture_boxes(proposals, example.id, size, aggregation)
        predicted_whole += [example.id] * (is_whole and example.id in stretch.own)
        for box in boxes[skipped:]:
            yield _Crop(example.id, size, box), network.crop(picture, box, name=f"picture '{example.id}'")
        skipped = 0
