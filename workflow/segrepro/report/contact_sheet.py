"""The contact sheet of training examples with boxes: each as the network sees it, with what it is taught.

A tile is the box cut out of its picture (zeros beside the picture), drawn to a square as in training, under the
labels of that box in VOC colours: of one object only where the example names an instance (DeconvNet's stage 1), of
all where it does not (stage 2). Void, with which the labels are padded too, is hatched.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.figure import Figure

from segrepro.data.boxes import cut
from segrepro.data.masks import check_size, check_values, read_mask
from segrepro.data.pictures import read_rgb
from segrepro.errors import UserError
from segrepro.labels import BACKGROUND, VOID, LabelSpace, label_space
from segrepro.report.sheet import BOLD, Cell, Legend, draw_tiles
from segrepro.report.style import colourise
from segrepro.stores.manifests import Example, read_some

# Examples that are read in search of every class: enough to meet a class of 1 in 400 with 99% certainty, and read in
# some 15 seconds.
EXAMPLES_SEARCHED = 2000

OBJECT_OPACITY = 0.5
VOID_OPACITY = 0.75
HATCH_LINES = 24  # across a tile
OUTLINE = 100  # a tile is so many outlines wide

HEAD = 0.24  # inches: the sheet's title


def make(args: argparse.Namespace) -> Figure:
    """Draw examples of ``manifest``, chosen by lot."""
    space = label_space(args.label_space)
    drawn, count = read_some(args.manifest, lambda rows: by_lot(rows, seed=args.seed))
    chosen = choose_examples(drawn, space, args.rows * args.columns)
    tiles = [load_tile(example, space, args.size) for example in chosen]
    title = f"{args.title or args.manifest.stem}: {len(tiles):,} of {count:,} examples"
    return draw_contact_sheet(tiles, space, columns=args.columns, title=title)


@dataclass(frozen=True)
class Tile:
    """One example as the network sees it."""

    id: str  # of the picture
    label: int  # of the class it stands for
    picture: np.ndarray  # uint8 RGB, shape (size, size, 3); zeros beside the picture
    labels: np.ndarray  # uint8, shape (size, size); void beside the picture


def example_labels(example: Example, space: LabelSpace) -> np.ndarray:
    """Return what an example teaches, cut out by its box: uint8 of the box's size, void outside the picture.

    An example with an instance teaches that object alone: others become background, void stays void.

    Raises:
        UserError: there is no box or mask, a file is missing or damaged, the sizes differ, a value is no label of
            ``space``, or the box lies wholly outside.
    """
    if example.box is None:
        raise UserError(f"picture '{example.id}' has no box; draw a training set of boxes (`segrepro training-set`).")
    if example.mask is None:
        raise UserError(f"picture '{example.id}' has no mask; draw a dataset that has ground truth.")
    mask = read_mask(example.mask)
    check_values(mask, {*space.used_labels, VOID}, name=str(example.mask))
    if example.instance_mask is not None:
        instances = read_mask(example.instance_mask)
        check_size(instances, mask.shape[1], mask.shape[0], name=str(example.instance_mask))
        mask = np.where((instances == example.instance) | (mask == VOID), mask, np.uint8(BACKGROUND))
    return cut(mask, example.box, fill=VOID, name=str(example.image))


def main_label(labels: np.ndarray) -> int:
    """Return the most frequent object label, or background where there is none."""
    counts = np.bincount(labels.ravel(), minlength=256)
    counts[[BACKGROUND, VOID]] = 0
    return int(counts.argmax()) if counts.any() else BACKGROUND


def by_lot(rows: int, *, seed: int) -> list[int]:
    """Return the places of the rows to look at, of a manifest of so many: `EXAMPLES_SEARCHED` at most, in their order.

    The same seed draws the same.
    """
    return np.random.default_rng(seed).permutation(rows)[:EXAMPLES_SEARCHED].tolist()


def choose_examples(drawn: Iterable[Example], space: LabelSpace, count: int) -> list[Example]:
    """Choose some of the examples that `by_lot` drew, by class: as many of one as of another where there are enough.

    Of a class that is rarer than those drawn, there may be none. Raises as `example_labels`.
    """
    classes = len(space.used_labels) - 1
    enough = math.ceil(count / classes)
    by_label: dict[int, list[Example]] = defaultdict(list)
    for example in drawn:
        by_label[main_label(example_labels(example, space))].append(example)
        full = sum(len(found) >= enough for label, found in by_label.items() if label != BACKGROUND)
        if full == classes:
            break
    turns = sorted((turn, label) for label, found in by_label.items() for turn in range(len(found)))
    return [by_label[label][turn] for label, turn in sorted((label, turn) for turn, label in turns[:count])]


def load_tile(example: Example, space: LabelSpace, size: int) -> Tile:
    """Read an example and draw it to ``size`` x ``size`` pixels: picture bilinear, labels nearest, as in training.

    Raises as `example_labels`, and where picture and mask differ in size.
    """
    labels = example_labels(example, space)
    picture = read_rgb(example.image)
    check_size(read_mask(example.mask), picture.shape[1], picture.shape[0], name=str(example.mask))
    picture = cut(picture, example.box, fill=0, name=str(example.image))
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    square = cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return Tile(example.id, main_label(labels), picture, square)


def painted(tile: Tile) -> np.ndarray:
    """Paint a tile's labels over its picture: objects tinted and outlined, void hatched; uint8 (size, size, 3)."""
    colours, size = colourise(tile.labels).astype(np.float32), len(tile.labels)
    objects = (tile.labels != BACKGROUND) & (tile.labels != VOID)
    width = max(1, size // OUTLINE)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    outline = objects & (cv2.dilate(tile.labels, kernel) != cv2.erode(tile.labels, kernel))
    opacity = np.where(objects, OBJECT_OPACITY, 0.0) + np.where(outline, 1 - OBJECT_OPACITY, 0.0)
    y, x = np.mgrid[:size, :size]
    hatch = (x + y) * HATCH_LINES // size % 2 == 0
    opacity = np.where(tile.labels == VOID, np.where(hatch, VOID_OPACITY, 0.0), opacity)[..., np.newaxis]
    return np.rint(tile.picture * (1 - opacity) + colours * opacity).astype(np.uint8)


def draw_contact_sheet(tiles: list[Tile], space: LabelSpace, *, columns: int, title: str) -> Figure:
    """Draw tiles from left to right, each over its class and picture id, with a legend of the labels that occur."""
    cells = [Cell(painted(tile), space.classes[tile.label], BOLD, note=tile.id) for tile in tiles]
    labels = sorted({label for tile in tiles for label in np.unique(tile.labels).tolist()} - {BACKGROUND})
    return draw_tiles(cells, columns, title=title, head=HEAD, legend=Legend(labels, space, hatched_void=True))
