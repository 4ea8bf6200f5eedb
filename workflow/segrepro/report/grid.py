"""The picture grid: picture, ground truth and each system's labels side by side, in VOC colours."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from segrepro.data.masks import read_mask
from segrepro.data.pictures import read_rgb
from segrepro.errors import UserError
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.evaluation.metrics import picture_mious
from segrepro.evaluation.pictures import PictureScorer
from segrepro.labels import LabelSpace, label_space
from segrepro.report.choice import RULES, OpinionReader, choose, opinions
from segrepro.report.legend import LabelLegend, labels_in
from segrepro.report.style import INK, MUTED, PAGE_WIDTH_INCHES, colourise, figure_style, new_figure
from segrepro.stores.manifests import Example, check_listed, read_manifest
from segrepro.stores.same_pictures import check_same_pictures
from segrepro.stores.scores import ScoreReader

# Lengths in inches.
MARGIN = 0.06
GAP = 0.06
CAPTION = 0.19  # below each row: the picture's id, and each prediction's mIoU
TITLE_LINE = 0.15
MIN_CELL_WIDTH = 1.0  # with many systems the figure grows wider than a page instead of the cells smaller
MAX_CELL_WIDTH = 2.2
MAX_ASPECT = 1.0  # an upright picture is drawn narrower rather than its row higher
LETTER_WIDTH = 0.065  # of the titles' type, on average


def make(args: argparse.Namespace) -> Figure:
    """Draw the pictures of ``ids``, or those that are chosen by rule, with the labels of the stores of ``scores``."""
    space = label_space(args.label_space)
    systems = [open_system(path, space) for path in args.scores]
    examples = {example.id: example for example in read_manifest(args.manifest)}
    rows = dict.fromkeys(args.ids, "") if args.ids else _by_rule(args, list(examples.values()), space)
    split = args.split or args.manifest.stem
    check_listed(rows, args.manifest, key=f"--ids (figures.grid.ids.{split} in the config)")
    return draw_grid(
        [load_row(examples[id], args.scores, space, note) for id, note in rows.items()],
        marked_systems(systems, split, args.leakage),
        space,
    )


def open_system(store: Path, space: LabelSpace, examples: list[Example] = (), manifest: Path | None = None) -> str:
    """Return the name of a store's system.

    Args:
        store: the score store.
        space: that its labels must be mapped to.
        examples: whose pictures must be those of the store; none: not looked at.
        manifest: of the examples, for the message.

    Raises:
        UserError: the store cannot be read or its labels not be mapped, or it is of other pictures.
    """
    with ScoreReader(store) as reader:
        reader.mapping(space.name)
        if examples:
            check_same_pictures(reader, examples, manifest)
        return reader.system


def _by_rule(args: argparse.Namespace, examples: list[Example], space: LabelSpace) -> dict[str, str]:
    for store in args.scores:
        open_system(store, space, examples, args.manifest)
    reader = OpinionReader(tuple(args.scores), space.name, len(space))
    counts = {rule: getattr(args, rule) for rule in RULES}
    chosen = choose(opinions(reader, examples, threads=args.threads), counts)
    if not chosen:
        raise UserError(f"{args.manifest}: no picture to draw; ask for one at least, and check that not all is void.")
    return chosen


@dataclass(frozen=True)
class GridRow:
    """One row of the grid.

    Attributes:
        id: the picture's id.
        picture: uint8 RGB, shape (height, width, 3).
        truth: uint8 labels or void, shape (height, width).
        predictions: uint8 labels of each system, same shape.
        mious: each system's mIoU on this picture over the classes in its mask, in [0, 1]; NaN if all is void.
        note: why it is shown, beside its id; empty for a picture that was asked for.
    """

    id: str
    picture: np.ndarray
    truth: np.ndarray
    predictions: list[np.ndarray]
    mious: list[float]
    note: str = ""


def load_row(example: Example, stores: list[Path], space: LabelSpace, note: str = "") -> GridRow:
    """Read picture, mask and predictions of one example.

    Raises:
        UserError: a file is missing or damaged, the sizes differ, or a store lacks the picture.
    """
    if example.mask is None:
        raise UserError(f"picture '{example.id}' has no mask; draw a split that has ground truth.")
    picture, truth = read_rgb(example.image), read_mask(example.mask)
    if picture.shape[:2] != truth.shape:
        raise UserError(f"{example.mask}: differs in size from {example.image}; check the dataset's labels.")
    predictions, mious = [], []
    for store in stores:
        scorer = PictureScorer(store, space.name, len(space))
        mious.append(float(picture_mious(scorer(example)[None])[0]))
        with ScoreReader(store) as reader:
            predictions.append(reader.labels(example.id, space.name))
    return GridRow(example.id, picture, truth, predictions, mious, note)


def draw_grid(rows: list[GridRow], systems: list[str], space: LabelSpace) -> Figure:
    """Draw the grid with a legend of the labels that occur in it.

    Args:
        rows: what to show, from top to bottom.
        systems: the name of each system, in the order of each row's predictions; a dagger in one is explained below.
        space: the label space of truth and predictions, which names the labels in the legend.
    """
    columns = 2 + len(systems)
    cell = (PAGE_WIDTH_INCHES - 2 * MARGIN - (columns - 1) * GAP) / columns
    cell = min(max(cell, MIN_CELL_WIDTH), MAX_CELL_WIDTH)
    width = 2 * MARGIN + columns * cell + (columns - 1) * GAP
    titles = [wrap_name(name, int(cell / LETTER_WIDTH)) for name in ("picture", "ground truth", *systems)]
    heights = [cell * min(row.truth.shape[0] / row.truth.shape[1], MAX_ASPECT) for row in rows]
    maps = [labels for row in rows for labels in (row.truth, *row.predictions)]
    legend = LabelLegend(labels_in(maps), space, width=width - 2 * MARGIN, note=mark_note(systems))
    head = MARGIN + TITLE_LINE * max(title.count("\n") + 1 for title in titles)
    height = head + sum(heights) + CAPTION * len(rows) + legend.height + MARGIN
    with figure_style():
        figure = new_figure(width, height)
        for column, title in enumerate(titles):
            x = MARGIN + column * (cell + GAP) + cell / 2
            weight = "bold" if column >= 2 else "normal"
            y = 1 - (head - 0.05) / height
            figure.text(x / width, y, title, ha="center", va="bottom", size=7.5, weight=weight, linespacing=1.1)
        top = head
        for row, row_height in zip(rows, heights, strict=True):
            _draw_row(figure, row, (cell, row_height), top)
            top += row_height + CAPTION
        legend.draw(figure, margin=MARGIN)
    return figure


def _draw_row(figure: Figure, row: GridRow, cell: tuple[float, float], top: float) -> None:
    width, height = figure.get_size_inches()
    cell_width, cell_height = cell
    aspect = row.truth.shape[0] / row.truth.shape[1]
    drawn = min(cell_width, cell_height / aspect)
    images = [row.picture, *(colourise(labels) for labels in (row.truth, *row.predictions))]
    captions = [row.id, row.note, *("all void" if math.isnan(m) else f"mIoU {100 * m:.1f}" for m in row.mious)]
    for column, (image, caption) in enumerate(zip(images, captions, strict=True)):
        middle = MARGIN + column * (cell_width + GAP) + cell_width / 2
        bottom = height - top - cell_height
        box = ((middle - drawn / 2) / width, bottom / height, drawn / width, cell_height / height)
        axes = figure.add_axes(box)
        axes.imshow(image, interpolation="antialiased" if column == 0 else "nearest", aspect="auto")
        axes.set_axis_off()
        colour = MUTED if column < 2 else INK
        figure.text(middle / width, (bottom - 0.025) / height, caption, ha="center", va="top", size=6.5, color=colour)


def wrap_name(name: str, letters: int) -> str:
    """Break a system's name into lines of at most some letters, after underscores, hyphens and spaces."""
    lines = [""]
    for part in name.replace("_", "_\0").replace("-", "-\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
