"""What a CRF changes: the gain in IoU per class, and pictures before and after, chosen by rule and not by hand."""

import argparse
import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusions_of
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.evaluation.metrics import Metrics, metrics, picture_mious
from segrepro.evaluation.pictures import PictureScorer, picture_confusions
from segrepro.labels import LabelSpace, label_space
from segrepro.report.grid import load_row
from segrepro.report.sheet import BOLD, MARGIN, Cell, Legend, draw_sheet, labels_in
from segrepro.report.style import INK, LINE_COLOURS, MUTED, PAGE_WIDTH_INCHES, add_panel, figure_style, write
from segrepro.stores.manifests import read_manifest
from segrepro.stores.same_pictures import system_of

# Blue and vermilion of the colour-blind safe palette: told apart without red and green, and by side of zero anyway.
BETTER, WORSE = LINE_COLOURS[0], LINE_COLOURS[1]

# Lengths in inches.
HEAD = 0.66  # three lines of title
BARS = 1.35
NAMES = 0.78  # below the bars: the classes' names, upright
LEFT = 0.5  # of the bars: their axis

LETTERS = 90  # of the title's type on a line; a longer title is set smaller

TITLES = (("picture", {}), ("ground truth", {}), ("before", BOLD), ("after", BOLD))


def make(args: argparse.Namespace) -> Figure:
    """Draw what changed from the first store of ``scores`` to the second; ``confusions`` save scoring them again."""
    stores, space = args.scores, label_space(args.label_space)
    for option, files in (("--scores", stores), ("--confusions", args.confusions or stores)):
        if len(files) != 2:
            raise UserError(f"{option}: {len(files)} given; give two, without the CRF and with it.")
    listed = read_manifest(args.manifest)
    examples = {example.id: example for example in listed}
    systems = [system_of(store, space.name, listed, args.manifest) for store in stores]
    if args.confusions:
        confusions = [confusions_of(path, list(examples), space) for path in args.confusions]
    else:
        scorers = [PictureScorer(store, space.name, len(space)) for store in stores]
        confusions = [picture_confusions(each, listed, threads=args.threads, label=each.store.name) for each in scorers]
    if not confusions[0].any():
        raise UserError(f"{args.manifest}: every mask is void; check the dataset's labels.")
    change = Change(list(examples), *confusions)
    rows = [load_row(examples[id], stores, space, text) for id, text in change.chosen(args.rows)]
    split = args.split or args.manifest.stem
    before, after = marked_systems(systems, split, args.leakage)
    return draw_change(change, rows, space, before=before, after=after, split=split)


@dataclass(frozen=True)
class Change:
    """What a CRF changed on a split."""

    ids: list[str]  # of the pictures
    before: np.ndarray  # confusion of each picture without the CRF, (pictures, classes, classes)
    after: np.ndarray  # the same with it

    @property
    def totals(self) -> tuple[Metrics, Metrics]:
        """The metrics of the whole split, before and after."""
        return metrics(self.before.sum(axis=0, dtype=np.int64)), metrics(self.after.sum(axis=0, dtype=np.int64))

    @property
    def gains(self) -> np.ndarray:
        """The gain in mIoU of each picture, in [-1, 1]; NaN where its mask is all void."""
        return picture_mious(self.after) - picture_mious(self.before)

    def chosen(self, count: int) -> list[tuple[str, str]]:
        """Choose pictures by their gain, each with a text that gives its rank and change.

        With a count of 5 these are the two largest gains, the median and the two largest losses, in this order; with
        1 the median alone. Equal gains are ranked by id.
        """
        ranked = sorted((-gain, id) for id, gain in zip(self.ids, self.gains, strict=True) if not math.isnan(gain))
        total = len(ranked)
        if count >= total:
            ranks = range(total)
        else:  # gains and losses do not reach the median
            losses = (count - 1) // 2
            ranks = (*range(count - 1 - losses), (total - 1) // 2, *range(total - losses, total))
        return [(ranked[rank][1], _rank_text(rank, total, -ranked[rank][0])) for rank in ranks]


def _rank_text(rank: int, count: int, gain: float) -> str:
    place = "median" if rank == (count - 1) // 2 and count > 2 else f"rank {rank + 1} of {count}"
    return f"{place}: {change_text(gain)}"


def change_text(gain: float) -> str:
    """Say a change of mIoU in words: points are percent of [0, 1], ``3.2 points worse``, or ``no change``."""
    points = f"{abs(100 * gain):.1f}"
    if points == "0.0":
        return "no change" if gain == 0 else f"{'better' if gain > 0 else 'worse'} by less than 0.1 points"
    return f"{points} points {'better' if gain > 0 else 'worse'}"


def titles(change: Change, *, before: str, after: str, split: str) -> tuple[str, str, str]:
    """Return the figure's lines: what changed by how much, both mIoUs, and the spread over pictures and classes."""
    old, new = change.totals
    pictures = change.gains[~np.isnan(change.gains)]
    return (
        f"{after} on {split}: {change_text(new.miou - old.miou)}",
        f"mIoU {100 * old.miou:.2f} before ({before}), {100 * new.miou:.2f} after",
        f"pictures: {_counts(pictures)}; classes: {_counts((new.iou - old.iou)[old.present])}",
    )


def _counts(gains: np.ndarray) -> str:
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    return f"{better} better, {worse} worse, {len(gains) - better - worse} unchanged"


def draw_change(
    change: Change, rows: list[list[Cell]], space: LabelSpace, *, before: str, after: str, split: str
) -> Figure:
    """Draw the gain in IoU per class as bars, and rows of `load_row` below, with the labels before and after.

    ``before`` and ``after`` name the system without the CRF and with it; a dagger in a name is explained at the foot.
    """
    legend = Legend(labels_in(rows), space, mark_note((before, after)))
    with figure_style():
        figure = draw_sheet(rows, len(TITLES), titles=TITLES, legend=legend, head=HEAD + BARS + NAMES)
        lines = titles(change, before=before, after=after, split=split)
        for line, size, y, look in zip(lines, (8.5, 7.5, 7), (0.07, 0.25, 0.4), (BOLD, {}, {}), strict=True):
            size *= min(1, LETTERS / len(line))
            write(figure, line, PAGE_WIDTH_INCHES / 2, y, ha="center", size=size, **look)
        axes = add_panel(figure, LEFT, HEAD, PAGE_WIDTH_INCHES - LEFT - MARGIN, BARS)
        _draw_bars(axes, change, space)
    return figure


def _draw_bars(axes: Axes, change: Change, space: LabelSpace) -> None:
    old, new = change.totals
    labels = np.flatnonzero(old.present)
    gains = 100 * (new.iou - old.iou)[labels]
    places = np.arange(len(labels))
    axes.bar(places, gains, width=0.7, color=np.where(gains >= 0, BETTER, WORSE))
    axes.axhline(0, color=INK, linewidth=0.6)
    reach = max(0.1, float(np.abs(gains).max()))
    for place, gain in zip(places, gains, strict=True):
        sign = 1 if gain >= 0 else -1
        text = f"{gain:+.1f}" if f"{abs(gain):.1f}" != "0.0" else "0"
        below = {"va": "bottom" if sign > 0 else "top", "ha": "center", "size": 5.5, "color": MUTED}
        axes.text(place, gain + sign * 0.03 * reach, text, **below)
    low, high = min(0.0, float(gains.min())), max(0.0, float(gains.max()))
    room = 0.2 * max(high - low, 0.1)
    axes.set(ylim=(low - (room if low < 0 else room / 4), high + room), xlim=(-0.6, len(labels) - 0.4))
    axes.set_xticks(places, [space.classes[label] or f"label {label}" for label in labels], rotation=90)
    axes.set_ylabel("gain in IoU, points")
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
