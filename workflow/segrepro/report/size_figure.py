"""Each system's mIoU beside its boundary IoU, and its IoU of small and large objects."""

import argparse

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segrepro.evaluation.bootstrap import Estimates
from segrepro.evaluation.leakage import mark_note
from segrepro.report.fine_grained import Measured, compared, size_titles
from segrepro.report.style import LINE_COLOURS, PAGE_WIDTH_INCHES, RULE, add_panel, figure_style, new_figure, write_head

MARKERS = "osD^vXP*"

# Lengths in inches.
LINE = 0.26  # of a system
HEAD = 0.52
FOOT = 0.42
NAMES = 1.75  # left of the panels
BETWEEN = 0.16
LETTERS = 30  # of a system's name in the usual size; a longer one is set smaller


def make(args: argparse.Namespace) -> Figure:
    """Draw the systems of ``fine_grained``."""
    first, names, measured = compared(args)
    return draw_sizes(names, measured, size_titles(first, measured[0]), split=first.split)


def draw_sizes(names: list[str], measured: list[Measured], titles: list[str], *, split: str) -> Figure:
    """Draw a line per system, with its metrics as points and their intervals; the titles are of the ranges of sizes."""
    panel = (PAGE_WIDTH_INCHES - NAMES - BETWEEN - 0.1) / 2
    with figure_style():
        figure = new_figure(PAGE_WIDTH_INCHES, HEAD + LINE * len(names) + FOOT)
        write_head(figure, f"Boundaries and object sizes, {split}", mark_note(names))
        places = (NAMES, NAMES + panel + BETWEEN)
        means, sizes = (add_panel(figure, left, HEAD, panel, LINE * len(names)) for left in places)
        _points(means, [[entry.miou, entry.boundary] for entry in measured], ["mIoU", "boundary IoU"], first=0)
        _points(sizes, [[entry.sizes.at(n) for n in range(len(titles))] for entry in measured], titles, first=2)
        means.set_yticks(range(len(names)), names)
        for label in means.get_yticklabels():
            label.set_size(7 * min(1, LETTERS / len(label.get_text())))
        means.set_xlabel("mean over classes (%)")
        sizes.set_xlabel("mean IoU of objects, by size in pixels (%)")
        sizes.tick_params(labelleft=False)
    return figure


def _points(axes: Axes, lines: list[list[Estimates]], titles: list[str], *, first: int) -> None:
    looks = [
        {"color": LINE_COLOURS[(first + column) % len(LINE_COLOURS)], "marker": MARKERS[column % len(MARKERS)]}
        for column in range(len(titles))
    ]
    spread = np.linspace(-0.24, 0.24, len(titles)) if len(titles) > 1 else np.zeros(1)
    for column, look in enumerate(looks):
        for row, line in enumerate(lines):
            value, y = line[column], row + spread[column]
            if not np.isnan(value.value):
                axes.plot([100 * value.low, 100 * value.high], [y, y], color=look["color"], linewidth=1.0)
                axes.plot([100 * value.value], [y], markersize=3.4, markeredgewidth=0, **look)
    axes.set(ylim=(len(lines) - 0.5, -0.5))
    for row in range(1, len(lines)):
        axes.axhline(row - 0.5, color=RULE, linewidth=0.4)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.legend(
        [Line2D([], [], markersize=4, **look) for look in looks],
        titles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(3, len(titles)),
        handlelength=1.7,
        fontsize=6.5,
        columnspacing=1.0,
        borderpad=0,
    )
