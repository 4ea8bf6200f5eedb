"""A picture's label map after 1, 5, 10 and 50 proposals, as DeconvNet's paper shows it (figure 7)."""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from segrepro.config.systems import ProposalWise
from segrepro.data.masks import VOC_MASK_VALUES, check_size, check_values, read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.data.training_sets import picture_objects
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.labels import VOC21, label_space
from segrepro.options import section_of
from segrepro.report.grid import miou_text
from segrepro.report.sheet import BOLD, GREY, MARGIN, Cell, Legend, draw_sheet, labels_in
from segrepro.report.style import LINE_COLOURS, PAGE_WIDTH_INCHES, figure_style, write
from segrepro.stores.manifests import Example, check_listed, read_manifest
from segrepro.stores.proposals import ProposalReader
from segrepro.stores.same_pictures import check_whole_pictures

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
    examples, to_voc21 = _chosen(args), label_space(spec.label_space).to_voc21
    with ProposalReader(args.proposals) as reader:
        prepare_tensorflow(args.threads, spec.protocol)
        network = CropNetwork(load_model(args.model), input_size, aggregation.shrink)
        rows = [_predicted(network, to_voc21, example, reader, counts, aggregation) for example in examples]
    return draw_proposals(rows, counts, title=title)


def figure_title(args: argparse.Namespace) -> str:
    """Return what stands above the figure: the system, marked where it leaks, and the split; empty without a system."""
    if args.system is None:
        if args.leakage:
            raise UserError("--leakage needs --system; name the system whose shares it tells.")
        return ""
    split = args.split or args.manifest.stem
    (name,) = marked_systems([args.system], split, args.leakage)
    return f"{name} on {split}: labels after so many proposals"


def _chosen(args: argparse.Namespace) -> list[Example]:
    examples = {example.id: example for example in read_manifest(args.manifest)}
    ids = list(dict.fromkeys(args.ids or ())) or most_objects([*examples.values()], args.rows, threads=args.threads)
    check_listed(ids, args.manifest, key="--ids")
    check_whole_pictures([examples[id] for id in ids], args.manifest, masks=True)
    return [examples[id] for id in ids]


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


def _predicted(
    network: Callable,
    to_voc21: np.ndarray,
    example: Example,
    reader: ProposalReader,
    counts: list[int],
    aggregation: ProposalWise,
) -> list[Cell]:
    from segrepro.inference.proposalwise import growing_maps, picture_boxes, read_pixels

    picture, truth = read_pixels(example.image), read_mask(example.mask)
    height, width = picture.shape[:2]
    check_size(truth, width, height, name=str(example.mask))
    check_values(truth, VOC_MASK_VALUES, name=str(example.mask))
    boxes, is_whole = picture_boxes(reader, example.id, (height, width), aggregation)
    maps = growing_maps(network, picture, boxes, counts, aggregation=aggregation)
    labels = [to_voc21[scores.argmax(axis=-1)] for scores in maps]
    return proposals_row(example.id, picture, truth, boxes, dict(zip(counts, labels, strict=True)), is_whole=is_whole)


def proposals_row(
    id: str,
    picture: np.ndarray,
    truth: np.ndarray,
    boxes: np.ndarray,
    maps: dict[int, np.ndarray],
    *,
    is_whole: bool = False,
) -> list[Cell]:
    """Return a row of the figure: the picture with its boxes, the map after so many of them, the truth.

    A map's caption is its mIoU, and how many boxes it has where the picture has fewer than the column says.

    Args:
        id: of the picture.
        picture: uint8 RGB.
        truth: labels of VOC or void.
        boxes: int (n, 4), as they were pasted, in that order.
        maps: number of boxes, increasing -> labels of VOC.
        is_whole: whether the one box is the whole picture, which has no proposal of sufficient size.
    """
    cells = [Cell(picture, id, GREY, dress=partial(_draw_boxes, boxes=boxes, counts=list(maps)))]
    for count, labels in maps.items():
        fewer = " (whole)" if is_whole else f" (has {len(boxes)})" if count > len(boxes) else ""
        cells.append(Cell(labels, miou_text(confusion(truth, labels, len(VOC21))) + fewer))
    return [*cells, Cell(truth)]


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


def draw_proposals(rows: list[list[Cell]], counts: list[int], *, title: str = "") -> Figure:
    """Draw rows of `proposals_row`, whose maps are after so many boxes; a dagger in the title is explained below."""
    stages = [
        (f"{count} box{'es' * (count > 1)}", BOLD | {"color": _colour(stage)}) for stage, count in enumerate(counts)
    ]
    titles = [("picture", {}), *stages, ("ground truth", {})]
    legend = Legend(labels_in(rows), VOC21, mark_note([title]))
    head = MARGIN + TITLE * bool(title)
    with figure_style():
        figure = draw_sheet(rows, len(titles), titles=titles, legend=legend, head=head)
        write(figure, title, PAGE_WIDTH_INCHES / 2, MARGIN, ha="center", size=8.5, **BOLD)
    return figure
