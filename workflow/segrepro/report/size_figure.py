"""Detail in one picture: each system's mIoU beside its boundary IoU, and its IoU of small and large objects."""

import argparse

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segrepro.config.tables import Bootstrap
from segrepro.evaluation.bootstrap import Estimates
from segrepro.evaluation.leakage import mark_note
from segrepro.options import section_of
from segrepro.report.detail import Measured, compared, size_titles
from segrepro.report.style import LINE_COLOURS, MUTED, PAGE_WIDTH_INCHES, RULE, figure_style, new_figure

MARKERS = "osD^vXP*"

# Lengths in inches.
LINE = 0.26  # of a system
HEAD = 0.52
FOOT = 0.42
NAMES = 1.75  # left of the panels
BETWEEN = 0.16
LETTERS = 30  # of a system's name in the usual size; a longer one is set smaller


def make(args: argparse.Namespace) -> Figure:
    """Draw the systems of ``detail``."""
    details, names, measured = compared(args.detail, section_of(args, Bootstrap), args.leakage)
    return draw_sizes(names, measured, size_titles(details[0], measured[0]), split=details[0].split)


def draw_sizes(names: list[str], measured: list[Measured], titles: list[str], *, split: str) -> Figure:
    """Draw a line a system, with its metrics as points and their intervals, in the order given.

    Args:
        names: of the systems.
        measured: of each system.
        titles: of the ranges of sizes.
        split: name of the split.
    """
    width, height = PAGE_WIDTH_INCHES, HEAD + LINE * len(names) + FOOT
    panel = (width - NAMES - BETWEEN - 0.1) / 2
    with figure_style():
        figure = new_figure(width, height)
        figure.text(
            0.06 / width, 1 - 0.05 / height, f"Boundaries and object sizes, {split}", va="top", size=8.5, weight="bold"
        )
        figure.text(1 - 0.06 / width, 1 - 0.06 / height, mark_note(names), va="top", ha="right", size=6.5, color=MUTED)
        place = (FOOT / height, panel / width, LINE * len(names) / height)
        axes = [figure.add_axes((x / width, *place)) for x in (NAMES, NAMES + panel + BETWEEN)]
        pairs = [[entry.miou, entry.boundary] for entry in measured]
        _points(axes[0], pairs, ["mIoU", "boundary IoU"], first=0)
        sizes = [[entry.sizes.at(n) for n in range(len(titles))] for entry in measured]
        _points(axes[1], sizes, titles, first=2)
        axes[0].set_yticks(range(len(names)), names)
        for label in axes[0].get_yticklabels():
            label.set_size(7 * min(1, LETTERS / len(label.get_text())))
        axes[0].set_xlabel("mean over classes (%)")
        axes[1].set_xlabel("mean IoU of objects, by size in pixels (%)")
        axes[1].tick_params(labelleft=False)
    return figure


def _points(axes: Axes, lines: list[list[Estimates]], titles: list[str], *, first: int) -> None:
    count = len(titles)
    spread = np.linspace(-0.24, 0.24, count) if count > 1 else np.zeros(1)
    for column in range(count):
        look = {"color": LINE_COLOURS[(first + column) % len(LINE_COLOURS)], "marker": MARKERS[column % len(MARKERS)]}
        for row, line in enumerate(lines):
            value = line[column]
            if np.isnan(value.value):
                continue
            y = row + spread[column]
            axes.plot([100 * value.low, 100 * value.high], [y, y], color=look["color"], linewidth=1.0)
            axes.plot([100 * value.value], [y], markersize=3.4, markeredgewidth=0, **look)
    axes.set(ylim=(len(lines) - 0.5, -0.5))
    for row in range(1, len(lines)):
        axes.axhline(row - 0.5, color=RULE, linewidth=0.4)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    handles = [
        Line2D(
            [], [], color=LINE_COLOURS[(first + n) % len(LINE_COLOURS)], marker=MARKERS[n % len(MARKERS)], markersize=4
        )
        for n in range(count)
    ]
    axes.legend(
        handles,
        titles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(3, count),
        handlelength=1.7,
        fontsize=6.5,
        columnspacing=1.0,
        borderpad=0,
    )
