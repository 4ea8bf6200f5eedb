"""What a learned stacker sees: the members' log-probabilities and the labels, on one coarse grid per picture.

The grid has cells of ``stride`` pixels a side, ceil(height / stride) by ceil(width / stride) of them, as
`segrepro.stores.fitting` has it: what the stacker answers is stored as it is. No TensorFlow here.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.data.masks import read_mask
from segrepro.data.parallel import progress_bar
from segrepro.errors import UserError
from segrepro.files import full_disk_named
from segrepro.fusion.members import Ensemble
from segrepro.labels import VOID, label_space
from segrepro.stores.fitting import PROBABILITY_FLOOR, log_probabilities
from segrepro.stores.manifests import Example
from segrepro.stores.resize import HALF_PIXEL, interpolation_taps, mapped_positions, taps_at
from segrepro.stores.scores import ScoreReader, softmax

# The least log-probability there is; also what lies beside a picture: nothing is known there.
FLOOR = float(np.log(np.float32(PROBABILITY_FLOOR)))

# A cell has a label when at least this share of its pixels is not void.
LEAST_VALID_SHARE = 0.5


def log_probabilities_at(members: Ensemble, id: str, cells: tuple[int, int]) -> np.ndarray:
    """Return each member's log-probabilities at the centres of a grid's cells: some ten times cheaper than all pixels.

    Scores are those of the full-size map that the store stands for, interpolated between pixels where a centre lies
    there. They become probabilities, those of other label spaces are summed, and logarithms are taken: a logit with
    its constant settled, so that members that store logits, averages or DeconvNet's raw scores are alike. The result is
    float32 (rows, columns, members, classes), in [`FLOOR`, 0].
    """
    maps = [softmax(_at_centres(reader, id, cells), reader.mapping(members.space)) for reader in members.readers()]
    return log_probabilities(np.stack(maps, axis=2))


def _at_centres(reader: ScoreReader, id: str, cells: tuple[int, int]) -> np.ndarray:
    scores = reader.stored(id).astype(np.float32)
    for axis, (extent, count) in enumerate(zip(reader.size(id), cells, strict=True)):
        lower, _, weight = interpolation_taps(scores.shape[axis], extent, reader.resize)
        centres = mapped_positions(np.arange(count), count, extent, HALF_PIXEL)  # of the cells, in pixels
        # Where a pixel lies on the stored axis follows from its place; a centre may lie between two pixels.
        places = np.interp(centres, np.arange(extent), lower + weight)
        lower, upper, weight = taps_at(places, scores.shape[axis])
        below, above = scores.take(lower, axis), scores.take(upper, axis)
        scores = below + (above - below) * np.expand_dims(weight, tuple(range(1, scores.ndim - axis)))
    return scores


def grid_of(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return the (rows, columns) of the cells of a picture of (height, width) pixels."""
    return -(-size[0] // stride), -(-size[1] // stride)


def cell_labels(mask: np.ndarray, cells: tuple[int, int], num_classes: int) -> np.ndarray:
    """Return the commonest label among each cell's pixels that are not void (the lowest of equals).

    It is uint8, one per cell of the grid (rows, columns), and void where more than half of a cell's pixels are. A label
    that is neither void nor in 0..num_classes - 1 is a ValueError.
    """
    valid = mask != VOID
    if (strangers := mask[valid & (mask >= num_classes)]).size:
        raise ValueError(f"label {strangers[0]} occurs, where 0..{num_classes - 1} and {VOID} (void) are possible")
    rows, columns = (np.arange(extent) * count // extent for extent, count in zip(mask.shape, cells, strict=True))
    cell = rows[:, np.newaxis] * cells[1] + columns
    count = cells[0] * cells[1]
    votes = np.bincount(cell[valid] * num_classes + mask[valid], minlength=count * num_classes)
    votes = votes.reshape(count, num_classes)
    pixels = np.bincount(cell.ravel(), minlength=count)
    labels = np.where(votes.sum(axis=1) >= LEAST_VALID_SHARE * pixels, votes.argmax(axis=1), VOID)
    return labels.astype(np.uint8).reshape(cells)


@dataclass(frozen=True)
class FitSet:
    """Pictures that a stacker can be fitted on, by id; made by `collected`."""

    cells: Mapping[str, tuple[int, int]]  # (rows, columns) of each picture's grid
    first: Mapping[str, int]  # the place of each picture's first cell in ``scores``
    scores: np.ndarray  # float16 (cells of all pictures, members, classes), on the disk
    labels: Mapping[str, np.ndarray]  # of each picture's cells, uint8 (rows, columns)

    def at_cells(self, id: str) -> np.ndarray:
        """Return a picture's log-probabilities: float16 (rows, columns, members, classes)."""
        rows, columns = self.cells[id]
        cells = self.scores[self.first[id] : self.first[id] + rows * columns]
        return cells.reshape(rows, columns, *cells.shape[1:])

    def crops(
        self, ids: Sequence[str], side: int, margin: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a square out of each picture, at a random place.

        The square is a tile of a tiling that starts at a random place, so that each cell comes equally often. (Squares
        that lie wholly inside prefer the middle, where the objects are.) It may leave the picture, and is void there.
        The scores of a margin around it come too: what convolutions look at.

        Returns:
            float16 (pictures, side + 2 margin, side + 2 margin, members, classes), `FLOOR` beside a picture; and
            uint8 (pictures, side, side) labels.
        """
        wide = side + 2 * margin
        scores = np.full((len(ids), wide, wide, *self.scores.shape[1:]), FLOOR, np.float16)
        labels = np.full((len(ids), side, side), VOID, np.uint8)
        for number, id in enumerate(ids):
            top, left = (_tile_start(extent, side, random) for extent in self.cells[id])
            _paste(self.labels[id], (top, left), labels[number])
            _paste(self.at_cells(id), (top - margin, left - margin), scores[number])
        return scores, labels

    def class_weights(self, ids: Sequence[str], exponent: float) -> np.ndarray:
        """Return the weight of each class's cells in the loss, ``frequency ** -exponent``, by the pictures' labels.

        They are float64 (classes,), 1 on average over the cells that are not void, and 0 for a class that does not
        occur. Where all cells are void, that is a `UserError`.
        """
        counts = sum(np.bincount(self.labels[id].ravel(), minlength=256)[: self.scores.shape[-1]] for id in ids)
        if not counts.any():
            raise UserError(f"all labels of the {len(ids)} pictures to fit on are void; check their masks.")
        weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -exponent, 0)
        return weights * counts.sum() / (weights * counts).sum()


def _tile_start(extent: int, side: int, random: np.random.Generator) -> int:
    offset = int(random.integers(side))
    return side * int(random.integers(-(-(extent + offset) // side))) - offset


def _paste(source: np.ndarray, corner: tuple[int, int], target: np.ndarray) -> None:
    """Copy the window of ``source`` at ``corner`` (may be negative) into ``target``, as far as there is one."""
    start = [max(place, 0) for place in corner]
    stop = [min(p + extent, end) for p, extent, end in zip(corner, target.shape, source.shape, strict=False)]
    inside = source[start[0] : stop[0], start[1] : stop[1]]
    top, left = start[0] - corner[0], start[1] - corner[1]
    target[top : top + inside.shape[0], left : left + inside.shape[1]] = inside


@contextmanager
def collected(
    members: Ensemble,
    examples: Sequence[Example],
    sizes: Mapping[str, tuple[int, int]],
    *,
    stride: int,
    folder: Path,
    label: str,
) -> Iterator[FitSet]:
    """Read members and masks once, picture by picture, into a scratch file that disappears with the process.

    The file has two bytes per cell, member and class: 2.1 GB for VOC val at stride 4 with three members and 21 classes.
    In memory are the labels (17 MB), one picture, and of the file what the system has to spare. The file has no name in
    its folder, and needs no cleaning up, even after a ``kill -9``. ``sizes`` are from `Ensemble.check`; ``label`` is
    what the progress bar says.
    """
    shape = (len(members.paths), len(label_space(members.space)))
    cells, first, labels, place = {}, {}, {}, 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as scratch, progress_bar(label, total=len(examples)) as bar:
        with full_disk_named(folder / "(scratch file)"):
            for example in examples:
                id = example.id
                cells[id], first[id] = grid_of(sizes[id], stride), place
                labels[id] = _labels_of(example, sizes[id], cells[id], shape[1])
                # Written, not mapped: a full disk is then an error and not a signal that ends the process.
                scratch.write(log_probabilities_at(members, id, cells[id]).astype(np.float16).tobytes())
                place += cells[id][0] * cells[id][1]
                bar.update()
            scratch.flush()
        yield FitSet(cells, first, np.memmap(scratch, np.float16, "r", shape=(place, *shape)), labels)


def _labels_of(example: Example, size: tuple[int, int], cells: tuple[int, int], num_classes: int) -> np.ndarray:
    mask = read_mask(example.mask)
    try:
        if mask.shape != size:
            raise ValueError(
                f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the members' scores {size[1]} x {size[0]}"
            )
        return cell_labels(mask, cells, num_classes)
    except ValueError as error:
        raise UserError(
            f"{example.mask}: {error}; check that manifest and score stores belong together, and --label-space."
        ) from error
