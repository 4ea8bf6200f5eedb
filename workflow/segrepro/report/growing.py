"""The growing map: a picture's labels after 1, 5, 10 and 50 proposals, as DeconvNet's paper shows them (figure 7)."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from segrepro.config.systems import ProposalWise
from segrepro.data.masks import VOC_MASK_VALUES, check_size, check_values, read_mask
from segrepro.data.object_examples import picture_objects
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.evaluation.metrics import picture_mious
from segrepro.labels import VOC21, LabelSpace, label_space
from segrepro.options import section_of
from segrepro.report.grid import CAPTION, GAP, MARGIN, MAX_ASPECT, TITLE_LINE
from segrepro.report.legend import LabelLegend, labels_in
from segrepro.report.style import (
    INK,
    LINE_COLOURS,
    MUTED,
    PAGE_WIDTH_INCHES,
    colourise,
    figure_style,
    new_figure,
)
from segrepro.stores.manifests import Example, read_manifest
from segrepro.stores.proposals import ProposalReader

# Boxes are drawn in the colour of the first map that they are in, the first ones widest; in points. A rim of white
# shows the first on any picture; with one around all of them nothing would be left of the picture.
WIDEST, NARROWEST = 1.1, 0.2
RIM = 0.5
RIMMED_BOXES = 5

TITLE = 0.18  # inches


def make(args: argparse.Namespace) -> Figure:
    """Predict pictures of ``manifest``, each once, and keep the map after each of ``counts``."""
    from segrepro.config.spec import read_spec_of
    from segrepro.inference.proposalwise import CropNetwork, input_size_of
    from segrepro.models.model_files import load_model
    from segrepro.training.devices import prepare_tensorflow

    title = figure_title(args)
    if not args.counts:
        raise UserError("--counts: no number given; give one at least.")
    counts = sorted(set(args.counts))
    aggregation = section_of(args, ProposalWise, proposals=None, count=counts[-1])
    spec = read_spec_of(args.model, args.spec)
    input_size = input_size_of(spec.network, name=str(args.spec))
    examples = _chosen(args, read_manifest(args.manifest))
    to_voc21, rows = label_space(spec.label_space).to_voc21, []
    with ProposalReader(args.proposals) as reader:
        prepare_tensorflow(args.threads, spec.protocol)
        network = CropNetwork(load_model(args.model), input_size, aggregation.shrink)
        for example in examples:
            row = _predicted(network, example, reader, counts, aggregation)
            rows.append(replace(row, maps=[to_voc21[labels] for labels in row.maps]))
    return draw_growing(rows, counts, VOC21, title=title)


def figure_title(args: argparse.Namespace) -> str:
    """Return what stands above the figure: the system, marked where it leaks, and the split; empty without a system."""
    if args.system is None:
        if args.leakage:
            raise UserError("--leakage needs --system; name the system whose shares it tells.")
        return ""
    split = args.split or args.manifest.stem
    (name,) = marked_systems([args.system], split, args.leakage)
    return f"{name} on {split}: labels after so many proposals"


def _chosen(args: argparse.Namespace, manifest: list[Example]) -> list[Example]:
    examples = {example.id: example for example in manifest}
    ids = list(dict.fromkeys(args.ids or ())) or most_objects(manifest, args.rows, threads=args.threads)
    for id in ids:
        if id not in examples:
            raise UserError(f"{args.manifest}: no picture '{id}'; give ids of its first column.")
        if examples[id].mask is None:
            raise UserError(f"{args.manifest}: picture '{id}' has no mask; draw a split that has ground truth.")
    return [examples[id] for id in ids]


@dataclass(frozen=True)
class GrowingRow:
    """One row of the figure.

    Attributes:
        id: the picture's id.
        picture: uint8 RGB, shape (height, width, 3).
        truth: uint8 labels or void, shape (height, width).
        boxes: int (n, 4), as they were pasted, in that order.
        maps: uint8 labels after each count of boxes, shape (height, width) each.
        is_whole: whether the one box is the whole picture, which has no proposal of sufficient size.
    """

    id: str
    picture: np.ndarray
    truth: np.ndarray
    boxes: np.ndarray
    maps: list[np.ndarray]
    is_whole: bool = False

    def miou(self, labels: np.ndarray, classes: int) -> float:
        """Return a map's mIoU over the classes in the truth, in [0, 1]; NaN if all is void."""
        return float(picture_mious(confusion(self.truth, labels, classes)[np.newaxis])[0])


def _predicted(
    network: Callable, example: Example, reader: ProposalReader, counts: list[int], aggregation: ProposalWise
) -> "GrowingRow":
    from segrepro.inference.proposalwise import growing_maps, picture_boxes, read_pixels

    picture, truth = read_pixels(example.image), read_mask(example.mask)
    height, width = picture.shape[:2]
    check_size(truth, width, height, name=str(example.mask))
    check_values(truth, VOC_MASK_VALUES, name=str(example.mask))
    boxes, is_whole = picture_boxes(reader, example.id, (height, width), aggregation)
    maps = growing_maps(network, picture, boxes, counts, aggregation=aggregation)
    labels = [scores.argmax(axis=-1).astype("uint8") for scores in maps]
    return GrowingRow(example.id, picture, truth, boxes, labels, is_whole)


def most_objects(examples: list[Example], count: int, *, threads: int) -> list[str]:
    """Choose the pictures that hold the most objects, by their instance masks; of equals the first by id.

    Where objects are many, proposals have most to find; and a rule shows what a system does, where a choice by hand
    would show what its author likes.

    Raises:
        UserError: a picture has no readable mask or instance mask.
    """
    objects = map_in_processes(_objects, examples, threads=threads, label="objects", total=len(examples))
    ranked = sorted((-number, example.id) for number, example in zip(objects, examples, strict=True))
    return [id for _, id in ranked[:count]]


def _objects(example: Example) -> int:
    return len(picture_objects(example).objects)


def draw_growing(rows: list[GrowingRow], counts: list[int], space: LabelSpace, *, title: str = "") -> Figure:
    """Draw picture with boxes, the map after each count of boxes, and the truth; one row a picture.

    Args:
        rows: what to show, from top to bottom.
        counts: numbers of boxes, growing, in the order of each row's maps.
        space: the label space of maps and truth.
        title: of the figure; a dagger in it is explained at the foot.
    """
    columns = 2 + len(counts)
    cell = (PAGE_WIDTH_INCHES - 2 * MARGIN - (columns - 1) * GAP) / columns
    heights = [cell * min(row.truth.shape[0] / row.truth.shape[1], MAX_ASPECT) for row in rows]
    maps = [labels for row in rows for labels in (row.truth, *row.maps)]
    legend = LabelLegend(labels_in(maps), space, width=PAGE_WIDTH_INCHES - 2 * MARGIN, note=mark_note([title]))
    head = MARGIN + TITLE_LINE + TITLE * bool(title)
    height = head + sum(heights) + CAPTION * len(rows) + legend.height + MARGIN
    with figure_style():
        figure = new_figure(PAGE_WIDTH_INCHES, height)
        if title:
            figure.text(0.5, 1 - MARGIN / height, title, ha="center", va="top", size=8.5, weight="bold")
        _draw_titles(figure, counts, cell, 1 - (head - 0.05) / height)
        top = head
        for row, row_height in zip(rows, heights, strict=True):
            _draw_row(figure, row, counts, (cell, row_height), top, classes=len(space))
            top += row_height + CAPTION
        legend.draw(figure, margin=MARGIN)
    return figure


def _middle(column: int, cell: float) -> float:
    return (MARGIN + column * (cell + GAP) + cell / 2) / PAGE_WIDTH_INCHES


def _draw_titles(figure: Figure, counts: list[int], cell: float, y: float) -> None:
    titles = ["picture", *(f"{count} box{'es' * (count > 1)}" for count in counts), "ground truth"]
    colours = [INK, *(_colour(stage) for stage in range(len(counts))), INK]
    for column, (title, colour) in enumerate(zip(titles, colours, strict=True)):
        weight = "bold" if 0 < column <= len(counts) else "normal"
        figure.text(_middle(column, cell), y, title, ha="center", va="bottom", size=7.5, weight=weight, color=colour)


def _draw_row(
    figure: Figure, row: GrowingRow, counts: list[int], cell: tuple[float, float], top: float, *, classes: int
) -> None:
    width, height = figure.get_size_inches()
    cell_width, cell_height = cell
    aspect = row.truth.shape[0] / row.truth.shape[1]
    drawn = min(cell_width, cell_height / aspect)
    images = [row.picture, *(colourise(labels) for labels in (*row.maps, row.truth))]
    captions = [row.id, *_captions(row, counts, classes), ""]
    bottom = height - top - cell_height
    for column, (image, caption) in enumerate(zip(images, captions, strict=True)):
        middle = _middle(column, cell_width)
        axes = figure.add_axes((middle - drawn / 2 / width, bottom / height, drawn / width, cell_height / height))
        axes.imshow(image, interpolation="antialiased" if column == 0 else "nearest", aspect="auto")
        axes.set_axis_off()
        if column == 0:
            _draw_boxes(axes, row.boxes, counts)
        colour = MUTED if column == 0 else INK
        figure.text(middle, (bottom - 0.025) / height, caption, ha="center", va="top", size=6, color=colour)


def _captions(row: GrowingRow, counts: list[int], classes: int) -> list[str]:
    """Return each map's mIoU, and how many boxes it has where the picture has fewer than the column says."""
    captions = []
    for count, labels in zip(counts, row.maps, strict=True):
        miou = row.miou(labels, classes)
        text = "all void" if math.isnan(miou) else f"mIoU {100 * miou:.1f}"
        if row.is_whole:
            text += " (whole)"
        elif count > len(row.boxes):
            text += f" (has {len(row.boxes)})"
        captions.append(text)
    return captions


def _draw_boxes(axes: Axes, boxes: np.ndarray, counts: list[int]) -> None:
    """Outline the boxes, the first ones on top; what leaves the picture is cut off at its edge."""
    height, width = axes.get_images()[0].get_size()
    boxes = boxes[: max(counts)]
    for rank in reversed(range(len(boxes))):
        x1, y1, x2, y2 = np.clip(boxes[rank], 0, [width, height] * 2)
        stage = next(stage for stage, count in enumerate(counts) if rank < count)
        line = WIDEST + (NARROWEST - WIDEST) * stage / max(1, len(counts) - 1)
        outline = {"xy": (x1 - 0.5, y1 - 0.5), "width": x2 - x1, "height": y2 - y1, "fill": False}
        if rank < RIMMED_BOXES:
            axes.add_patch(Rectangle(**outline, edgecolor="white", linewidth=line + RIM))
        axes.add_patch(Rectangle(**outline, edgecolor=_colour(stage), linewidth=line))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _colour(stage: int) -> str:
    return LINE_COLOURS[stage % len(LINE_COLOURS)]
