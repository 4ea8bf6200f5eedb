"""The histogram of labels: how often each class occurs in a dataset, in pictures and in pixels."""

import argparse
from pathlib import Path
from typing import Annotated

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, StrMethodFormatter
from pydantic import BaseModel, Field

from segrepro.errors import UserError
from segrepro.json_files import read_model
from segrepro.labels import BACKGROUND, voc_palette
from segrepro.report.style import INK, figure_style, new_figure
from segrepro.schema import Count, Share

CLASS_WIDTH_INCHES = {False: 0.46, True: 0.24}  # of one bar, by whether the classes are many
MARGIN_INCHES = 1.5
MIN_WIDTH_INCHES = 7.0
HEIGHT_INCHES = 6.4
MANY_CLASSES = 30  # from here on, the numbers above the bars stand upright
NAMED_ABSENT = 8  # absent classes that the title names; more are only counted


def make(args: argparse.Namespace) -> Figure:
    """Draw the histogram of ``checks``."""
    return draw_histogram(read_checks(args.checks))


class _Checked(BaseModel):
    label_space: str | None


class ClassCounts(BaseModel):
    """How often a class occurs in a dataset."""

    label: Count
    pictures: Count
    pixels: Annotated[int, Field(ge=0)]


class Checks(BaseModel):
    """What the figure needs of label checks; those of a dataset without masks have nothing of it."""

    manifest: str
    pictures: Count
    label_space: str
    classes: dict[str, ClassCounts]
    absent_classes: list[str]
    background_share: Share
    void_share: Share

    @property
    def objects(self) -> dict[str, ClassCounts]:
        """The classes other than background, by label."""
        classes = sorted(self.classes.items(), key=lambda item: item[1].label)
        return {name: counts for name, counts in classes if counts.label != BACKGROUND}


def read_checks(path: Path) -> Checks:
    """Read the JSON of ``segrepro check-labels``; a `UserError` also where it is of a dataset without masks."""
    remedy = "make it with `segrepro check-labels`"
    if read_model(path, _Checked, remedy).label_space is None:
        raise UserError(f"{path}: a set without masks has no class histogram; give the checks of one with masks.")
    checks = read_model(path, Checks, remedy)
    if "background" not in checks.classes:
        raise UserError(f"{path}: class 'background' is missing; {remedy}.")
    return checks


def draw_histogram(checks: Checks) -> Figure:
    """Draw the classes that occur: pictures per class above, share of the labelled pixels (log) below.

    Bars have the VOC palette's colours, as in every picture of masks; since each bar stands above its class's
    name and carries its number, nothing depends on telling the colours apart.
    """
    occurring = {name: counts for name, counts in checks.objects.items() if counts.pixels}
    many = len(occurring) > MANY_CLASSES
    width = max(MIN_WIDTH_INCHES, MARGIN_INCHES + CLASS_WIDTH_INCHES[many] * len(occurring))
    with figure_style():
        figure = new_figure(width, HEIGHT_INCHES)
        figure.set_layout_engine("constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        colours = voc_palette()[[counts.label for counts in occurring.values()]] / 255
        pictures = np.array([counts.pictures for counts in occurring.values()])
        _bars(above, pictures, colours, [f"{n:,}" for n in pictures], many=many)
        above.set_ylabel("pictures with the class")
        above.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        above.yaxis.get_major_locator().set_params(integer=True)
        above.set_ylim(0, max(1, pictures.max(initial=0)) * (1.25 if many else 1.15))
        labelled = sum(counts.pixels for counts in checks.classes.values())
        percent = 100 * np.array([counts.pixels for counts in occurring.values()]) / labelled
        _bars(below, percent, colours, [f"{p:.2g}" for p in percent], many=many)
        _log_axis(below, percent)
        below.set_ylabel("labelled pixels, % (log)")
        below.set_xticks(range(len(occurring)), list(occurring), rotation=90 if many else 45)
        if not many:
            for text in below.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")
        _titles(above, checks)
    return figure


def _bars(axes: Axes, heights: np.ndarray, colours: np.ndarray, numbers: list[str], *, many: bool) -> None:
    positions = np.arange(len(heights))
    bars = axes.bar(positions, heights, width=0.8, color=colours, edgecolor=INK, linewidth=0.6, zorder=2)
    axes.bar_label(bars, numbers, padding=2, fontsize=7 if many else 8, rotation=90 if many else 0)
    axes.set_xlim(-0.7, max(len(heights), 1) - 0.3)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)


def _log_axis(axes: Axes, percent: np.ndarray) -> None:
    """Whole decades around the shares, with room for the numbers above the highest bar."""
    axes.set_yscale("log")
    lowest, highest = percent.min(initial=100.0), percent.max(initial=1e-3)
    axes.set_ylim(10 ** np.floor(np.log10(lowest) - 0.1), highest * 4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _titles(axes: Axes, checks: Checks) -> None:
    objects, absent = checks.objects, checks.absent_classes
    lines = "  ·  ".join(
        [
            f"{checks.pictures:,} pictures",
            f"{len(objects) - len(absent)} of {len(objects)} classes",
            f"background {checks.background_share:.1%} of the labelled pixels",
            f"void {checks.void_share:.1%} of all pixels",
        ]
    )
    if absent:
        rest = len(absent) - NAMED_ABSENT
        lines += "\nabsent: " + ", ".join(absent[:NAMED_ABSENT]) + (f" and {rest} more" if rest > 0 else "")
    axes.set_title(lines, loc="left", fontsize=9)
    axes.annotate(
        f"Classes of {checks.manifest} ({checks.label_space})",
        (0, 1),
        (0, 22 + 13 * lines.count("\n")),  # points above the axes
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=13,
        fontweight="bold",
    )
