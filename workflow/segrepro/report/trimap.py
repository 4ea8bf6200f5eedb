"""The trimap curves: mIoU within bands around the truth's boundaries, of several systems."""

import argparse
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator, ScalarFormatter

from segrepro.evaluation.bootstrap import Estimates
from segrepro.evaluation.leakage import mark_note
from segrepro.report.fine_grained import Measured, compared
from segrepro.report.style import (
    LINE_COLOURS,
    LINE_STYLES,
    MUTED,
    PAGE_WIDTH_INCHES,
    add_panel,
    figure_style,
    new_figure,
    write_head,
)

# As many lines as there are colours in a row of panels: more of them could not be told apart among their bands.
LINES = len(LINE_COLOURS)
MARKERS = "osD^vXP"  # a second way to tell the lines apart, in print without colour
TICKS = (1, 2, 3, 5, 10, 20, 40, 80, 160, 320)  # pixels

# Lengths in inches.
ROW = 2.35
HEAD = 0.2
FOOT = 0.38
LETTERS = 21  # of a system's name in the usual size; with a longer one all are set smaller
LEFT, BETWEEN, RIGHT = 0.42, 0.48, 1.95  # beside the panels: axis, second axis, the lines' names


def make(args: argparse.Namespace) -> Figure:
    """Draw the systems of ``fine_grained``."""
    first, names, measured = compared(args)
    return draw_trimaps(names, measured, first.settings.trimap_widths, split=first.split)


def draw_trimaps(names: list[str], measured: list[Measured], widths: tuple[int, ...], *, split: str) -> Figure:
    """Draw the curves of some systems, seven to a row of two panels: mIoU in the band, and what share of mIoU that is.

    A system that is better everywhere is higher in the left panel; one that keeps more of its mIoU near boundaries, in
    the right.
    """
    rows = math.ceil(len(names) / LINES)
    panel = (PAGE_WIDTH_INCHES - LEFT - BETWEEN - RIGHT) / 2
    with figure_style():
        figure = new_figure(PAGE_WIDTH_INCHES, HEAD + rows * ROW + FOOT)
        write_head(figure, f"Near boundaries, {split}", mark_note(names))
        size_of_names = 6.5 * min(1, LETTERS / max(map(len, names)))
        limits = [_limits([getattr(entry, key) for entry in measured]) for key in ("trimap", "kept")]
        for row in range(rows):
            chosen = range(row * LINES, min((row + 1) * LINES, len(names)))
            places = (LEFT, LEFT + panel + BETWEEN)
            axes = [add_panel(figure, left, HEAD + row * ROW + 0.2, panel, ROW - 0.3) for left in places]
            for place, entry in enumerate(measured[index] for index in chosen):
                _curve(axes[0], widths, entry.trimap, place)
                _curve(axes[1], widths, entry.kept, place)
            _dress(axes, widths, limits, top=row == 0, bottom=row == rows - 1)
            _legend(axes[1], [names[index] for index in chosen], [measured[index] for index in chosen], size_of_names)
    return figure


def _limits(estimates: list[Estimates]) -> tuple[float, float]:
    values = np.concatenate([part for entry in estimates for part in (entry.value, entry.low, entry.high)])
    finite = values[np.isfinite(values)]
    if not finite.size:  # pictures without boundaries
        return 0, 100
    low, high = finite.min(), finite.max()
    room = 0.04 * max(high - low, 0.01)
    return 100 * (low - room), 100 * (high + room)


def _look(place: int) -> dict:
    marker = {"marker": MARKERS[place], "markersize": 2.4}
    return {"color": LINE_COLOURS[place], "linestyle": LINE_STYLES[place % 2], "linewidth": 1.0, **marker}


def _curve(axes: Axes, widths: tuple[int, ...], values: Estimates, place: int) -> None:
    colour = LINE_COLOURS[place]
    axes.fill_between(widths, 100 * values.low, 100 * values.high, color=colour, alpha=0.08, linewidth=0)
    for bound in (values.low, values.high):
        axes.plot(widths, 100 * bound, color=colour, alpha=0.45, linewidth=0.4)
    axes.plot(widths, 100 * values.value, **_look(place))


def _dress(axes: list[Axes], widths: tuple[int, ...], limits: list, *, top: bool, bottom: bool) -> None:
    titles = ("mIoU in the band (%)", "in % of the mIoU of all pixels")
    for panel, bounds, title in zip(axes, limits, titles, strict=True):
        panel.set_xscale("log")  # systems differ in the narrow bands, and are much alike in the wide ones
        panel.set(xlim=(widths[0] * 0.9, widths[-1] * 1.1), ylim=bounds)
        panel.set_xticks([width for width in TICKS if widths[0] <= width <= widths[-1]])
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_locator(NullLocator())
        if top:
            panel.set_title(title, loc="left", size=7.5)
        if bottom:
            panel.set_xlabel("width of the band on either side (pixels)")
        else:
            panel.tick_params(labelbottom=False)
    if limits[1][0] < 100 < limits[1][1]:
        axes[1].axhline(100, color=MUTED, linewidth=0.6)


def _legend(axes: Axes, names: list[str], measured: list[Measured], size: float) -> None:
    """Name the lines beside the panels, in the order of their right ends in the left panel."""
    order = sorted(range(len(names)), key=lambda place: -np.nan_to_num(measured[place].trimap.value[-1]))
    handles = [Line2D([], [], **_look(place)) for place in order]
    labels = [f"{names[place]} ({100 * measured[place].miou.value:.1f})" for place in order]
    axes.legend(
        handles,
        labels,
        title="mIoU of all pixels in brackets",
        title_fontsize=6,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.03, 1.03),
        fontsize=size,
        handlelength=2.2,
        labelspacing=0.6,
        borderpad=0,
    )
