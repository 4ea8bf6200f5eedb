"""The picture grid: picture, ground truth and each system's labels side by side, in VOC colours."""

import argparse
import math
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.data.pictures import read_rgb
from segrepro.errors import UserError
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.evaluation.metrics import picture_mious
from segrepro.evaluation.pictures import PictureScorer
from segrepro.labels import LabelSpace, label_space
from segrepro.report.ranked_pictures import RULES, choose, read_opinion
from segrepro.report.sheet import BOLD, GREY, Cell, Legend, draw_sheet, labels_in
from segrepro.stores.manifests import Example, check_listed, read_manifest
from segrepro.stores.same_pictures import check_whole_pictures, system_of

MIN_CELL_WIDTH = 1.0  # inches


def make(args: argparse.Namespace) -> Figure:
    """Draw the pictures of ``ids``, or those that are chosen by rule, with the labels of the stores of ``scores``."""
    space, split = label_space(args.label_space), args.split or args.manifest.stem
    systems = [system_of(store, space.name) for store in args.scores]
    examples = {example.id: example for example in read_manifest(args.manifest)}
    chosen = dict.fromkeys(args.ids, "") if args.ids else _by_rule(args, list(examples.values()), space)
    check_listed(chosen, args.manifest, key=f"--ids (figures.grid.ids.{split} in the config)")
    check_whole_pictures([examples[id] for id in chosen], args.manifest, masks=True)
    rows = [load_row(examples[id], args.scores, space, note) for id, note in chosen.items()]
    return draw_grid(rows, marked_systems(systems, split, args.leakage), space)


def _by_rule(args: argparse.Namespace, examples: list[Example], space: LabelSpace) -> dict[str, str]:
    for store in args.scores:
        system_of(store, space.name, examples, args.manifest)
    read = partial(read_opinion, tuple(args.scores), space.name, len(space))
    opinions = map_in_processes(read, examples, threads=args.threads, label="compared", total=len(examples))
    chosen = choose(opinions, {rule: getattr(args, rule) for rule in RULES})
    if not chosen:
        raise UserError(f"{args.manifest}: no picture to draw; ask for one at least, and check that not all is void.")
    return chosen


def load_row(example: Example, stores: list[Path], space: LabelSpace, note: str = "") -> list[Cell]:
    """Return a row of the grid: picture, truth over a note, and each system's labels over their mIoU on this picture.

    Raises:
        UserError: a file is missing or damaged, the sizes differ, or a store lacks the picture.
    """
    picture, truth = read_rgb(example.image), read_mask(example.mask)
    scored = [PictureScorer(store, space.name, len(space)).scored(example, truth) for store in stores]
    answers = [Cell(labels, miou_text(counts)) for labels, counts in scored]
    if picture.shape[:2] != truth.shape:
        raise UserError(f"{example.mask}: differs in size from {example.image}; check the dataset's labels.")
    return [Cell(picture, example.id, GREY), Cell(truth, note, GREY), *answers]


def miou_text(confusion: np.ndarray) -> str:
    """Say the mIoU of one picture over the classes in its mask, from its confusion (classes, classes)."""
    (miou,) = picture_mious(confusion[np.newaxis])
    return "all void" if math.isnan(miou) else f"mIoU {100 * miou:.1f}"


def draw_grid(rows: list[list[Cell]], systems: list[str], space: LabelSpace) -> Figure:
    """Draw rows of `load_row` with a legend of the labels that occur; a dagger in a name is explained below."""
    titles = [("picture", {}), ("ground truth", {}), *((name, BOLD) for name in systems)]
    legend = Legend(labels_in(rows), space, mark_note(systems))
    return draw_sheet(rows, len(titles), titles=titles, legend=legend, smallest=MIN_CELL_WIDTH)
