"""The confusion matrix as a picture: where the pixels of each class go."""

import argparse

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import estimate
from segrepro.evaluation.confusion import load_confusions
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.evaluation.metrics import HITS, TRUE, counts_of_confusions
from segrepro.labels import LabelSpace, label_space
from segrepro.options import section_of
from segrepro.report.style import INK, MUTED, PAGE_WIDTH_INCHES, add_panel, figure_style, new_figure, write

# Lengths in inches.
CELL = 0.235
NAMES = 0.85
HEAD = 0.42
NOTE_LINE = 0.16
RIGHT = 1.1  # of the matrix: recall, its interval, and the share of all pixels
MARGIN = 0.1
MIN_CELL = 0.13  # with 81 classes the figure grows beyond a page rather than the cells smaller

# Errors are small beside the diagonal: the colour follows the square root, so that 1% is seen.
NORM = PowerNorm(0.5, vmin=0, vmax=100)
DARK = 45  # percent: on darker cells the number is white
SMALLEST_NUMBER = 0.5  # percent: what rounds to 0 is left to the colour


def make(args: argparse.Namespace) -> Figure:
    """Draw the matrix of the one system of ``confusions``."""
    if len(args.names) != 1 or len(args.confusions) != 1:
        raise UserError(f"--names: {len(args.names)} for {len(args.confusions)} confusions; give one each.")
    space, (path,) = label_space(args.label_space), args.confusions
    _, confusions = load_confusions(path)
    if confusions.shape[1:] != (len(space), len(space)):
        raise UserError(
            f"{path}: has {confusions.shape[1]} labels, label space '{space.name}' has {len(space)}; "
            "give the space that it was evaluated in."
        )
    (name,) = marked_systems(args.names, args.split, args.leakage)
    title = f"{name} on {args.split}: pixels of each class, by prediction (%)"
    return draw_confusion(confusions, space, section_of(args, Bootstrap), title=title, note=mark_note([name]))


def draw_confusion(
    confusions: np.ndarray, space: LabelSpace, bootstrap: Bootstrap, *, title: str, note: str = ""
) -> Figure:
    """Draw the sum of confusions (pictures, classes, classes), rows the truth, in percent of the row.

    Beside it stands the recall of each class with its interval. Labels that the space does not use are left out.
    """
    used = list(space.used_labels)
    total = confusions.sum(axis=0, dtype=np.int64)[np.ix_(used, used)]
    names = [space.classes[label] for label in used]
    numbered = len(used) <= 30
    cell = CELL if numbered else MIN_CELL
    side = cell * len(used)
    width = max(PAGE_WIDTH_INCHES, NAMES + side + RIGHT + MARGIN)
    head = HEAD + NOTE_LINE * bool(note)
    with figure_style():
        figure = new_figure(width, head + side + NAMES + MARGIN)
        write(figure, title, MARGIN, 0.05, size=8.5, weight="bold")
        write(figure, note, MARGIN, 0.05 + NOTE_LINE, size=6.5, color=MUTED)
        axes = add_panel(figure, NAMES, head, side, side)
        rows = total.sum(axis=1, keepdims=True)
        shares = np.where(rows > 0, 100 * total / np.maximum(rows, 1), np.nan)
        edges = np.arange(len(used) + 1) - 0.5
        axes.pcolormesh(edges, edges, shares, cmap="Blues", norm=NORM, edgecolors="white", linewidth=0.3)
        if numbered:
            _numbers(axes, shares)
        size = 6.5 if numbered else 4.5
        axes.set_xticks(range(len(used)), names, rotation=90, size=size)
        axes.set_yticks(range(len(used)), names, size=size)
        axes.set(xlim=edges[[0, -1]], ylim=edges[[-1, 0]], aspect="equal")
        axes.set_xlabel("predicted", labelpad=2)
        axes.set_ylabel("truth", labelpad=2)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        _recalls(axes, confusions[:, used][:, :, used], size, cell, bootstrap)
    return figure


def _numbers(axes: Axes, shares: np.ndarray) -> None:
    for row, column in np.argwhere(shares >= SMALLEST_NUMBER):
        share = shares[row, column]
        colour = "white" if share > DARK else INK
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", size=5.2, color=colour, weight=weight)


def _recalls(axes: Axes, confusions: np.ndarray, size: float, cell: float, bootstrap: Bootstrap) -> None:
    """Write the recall of each class and its interval right of its row, and the class' share of all pixels."""
    counts = counts_of_confusions(confusions)
    recall, totals = estimate(_recall, counts, bootstrap), counts.sum(axis=0, dtype=np.int64)
    edge = len(totals[0]) - 0.5
    places = (edge + 0.2, edge + RIGHT / cell)  # the left edge of one column, the right edge of the other
    for x, text, side in zip(
        places, (f"recall ({100 * bootstrap.confidence:g}%)", "of pixels"), ("left", "right"), strict=True
    ):
        axes.text(x, -0.7, text, size=size - 0.5, color=MUTED, va="bottom", ha=side)
    for row, true in enumerate(totals[TRUE]):
        ends = f"{100 * recall.low[row]:.0f}\N{EN DASH}{100 * recall.high[row]:.0f}"
        ends = "\N{EN DASH}" if np.isnan(recall.low[row]) else ends  # the class is in one picture
        text = f"{100 * recall.value[row]:.0f}  ({ends})" if true else "none"
        axes.text(places[0], row, text, va="center", size=size - 0.5)
        share = f"{100 * true / max(1, totals[TRUE].sum()):.1f}%"
        axes.text(places[1], row, share, va="center", ha="right", size=size - 0.5, color=MUTED)


def _recall(sums: np.ndarray) -> np.ndarray:
    true = sums[:, TRUE]
    return sums[:, HITS] / np.where(true > 0, true, np.nan)
