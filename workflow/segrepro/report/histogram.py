"""The class-histogram picture: how often each class occurs in a manifest, in pictures and in pixels."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, StrMethodFormatter

from segrepro.data.checks import object_labels
from segrepro.data.label_statistics import LabelStatistics
from segrepro.files import atomic_path
from segrepro.labels import LabelSpace, voc_palette

DOTS_PER_INCH = 120
CLASS_WIDTH_INCHES = {False: 0.46, True: 0.24}  # of one bar, by whether the classes are many
MARGIN_INCHES = 1.5
MIN_WIDTH_INCHES = 7.0
HEIGHT_INCHES = 6.4
MANY_CLASSES = 30  # from here on, the numbers above the bars stand upright
NAMED_ABSENT = 8  # absent classes that the title names; more are only counted
INK = "#222222"
FAINT = "#d9d9d9"


def draw_histogram(path: Path, name: str, statistics: LabelStatistics, space: LabelSpace) -> None:
    """Draw the classes that occur: pictures a class above, share of the labelled pixels (log) below.

    Bars have the VOC palette's colours, as in every picture of masks; since each bar stands above its class's
    name and carries its number, nothing depends on telling the colours apart. Same counts, same bytes.

    Args:
        path: the PNG to write, atomically.
        name: the manifest's name, for the title.
        statistics: its counts.
        space: the label space of its masks.
    """
    labels = [label for label in object_labels(space) if statistics.pixels[label]]
    many = len(labels) > MANY_CLASSES
    width = max(MIN_WIDTH_INCHES, MARGIN_INCHES + CLASS_WIDTH_INCHES[many] * len(labels))
    figure = Figure(figsize=(width, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    colours = voc_palette()[labels] / 255
    pictures = statistics.pictures_with[labels]
    _bars(above, pictures, colours, [f"{n:,}" for n in pictures], many=many)
    above.set_ylabel("pictures with the class")
    above.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    above.yaxis.get_major_locator().set_params(integer=True)
    above.set_ylim(0, max(1, pictures.max(initial=0)) * (1.25 if many else 1.15))
    labelled = statistics.pixels[:255].sum()
    percent = 100 * statistics.pixels[labels] / labelled
    _bars(below, percent, colours, [f"{p:.2g}" for p in percent], many=many)
    _log_axis(below, percent)
    below.set_ylabel("labelled pixels, % (log)")
    below.set_xticks(range(len(labels)), [space.classes[label] for label in labels], rotation=90 if many else 45)
    if not many:
        for text in below.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    _titles(above, name, statistics, space)
    with atomic_path(path) as temporary:
        # no software version in the file: the same counts give the same bytes
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _bars(axes: Axes, heights: np.ndarray, colours: np.ndarray, numbers: list[str], *, many: bool) -> None:
    positions = np.arange(len(heights))
    bars = axes.bar(positions, heights, width=0.8, color=colours, edgecolor=INK, linewidth=0.6, zorder=2)
    axes.bar_label(bars, numbers, padding=2, fontsize=7 if many else 8, rotation=90 if many else 0, color=INK)
    axes.set_xlim(-0.7, max(len(heights), 1) - 0.3)
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _log_axis(axes: Axes, percent: np.ndarray) -> None:
    """Whole decades around the shares, with room for the numbers above the highest bar."""
    axes.set_yscale("log")
    lowest, highest = percent.min(initial=100.0), percent.max(initial=1e-3)
    axes.set_ylim(10 ** np.floor(np.log10(lowest) - 0.1), highest * 4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _titles(axes: Axes, name: str, statistics: LabelStatistics, space: LabelSpace) -> None:
    objects = object_labels(space)
    absent = [space.classes[label] for label in objects if not statistics.pixels[label]]
    facts = [
        f"{statistics.pictures:,} pictures",
        f"{len(objects) - len(absent)} of {len(objects)} classes",
        f"background {statistics.background_share:.1%} of the labelled pixels",
        f"void {statistics.void_share:.1%} of all pixels",
    ]
    lines = "  ·  ".join(facts)
    if absent:
        rest = len(absent) - NAMED_ABSENT
        lines += "\nabsent: " + ", ".join(absent[:NAMED_ABSENT]) + (f" and {rest} more" if rest > 0 else "")
    axes.set_title(lines, loc="left", fontsize=9, color=INK)
    above_facts = (0, 22 + 13 * lines.count("\n"))  # points
    axes.annotate(
        f"Classes of {name} ({space.name})",
        (0, 1),
        above_facts,
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=13,
        fontweight="bold",
        color=INK,
    )
