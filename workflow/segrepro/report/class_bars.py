"""IoU per class of several systems, as bars side by side: of all classes, or of those that a system is weakest in."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import estimate
from segrepro.evaluation.confusion import load_confusions
from segrepro.evaluation.leakage import mark_note, marked_systems
from segrepro.evaluation.metrics import class_ious, counts_of_confusions
from segrepro.labels import LabelSpace, label_space
from segrepro.options import section_of
from segrepro.report.style import INK, LINE_COLOURS, MUTED, PAGE_WIDTH_INCHES, figure_style, new_figure, write

BAR_COLOURS = (*LINE_COLOURS[:-1], "#999999")  # grey instead of black, on which no whisker could be seen
MOST_SYSTEMS = len(BAR_COLOURS)  # more could not be told apart
BARS_PER_ROW = 60  # a bar narrower than 0.1 inch is no bar
ROW_HEIGHT = 1.75  # inches, class names included
HEAD = 0.42  # inches: title, note and the room around the legend
MOST_LEVEL_NAMES = 9  # of classes in a row; more are slanted
LEGEND_LINE = 0.16
LEGEND_COLUMNS = 4


def make(args: argparse.Namespace) -> Figure:
    """Draw all classes of the systems of ``confusions``."""
    systems, space = _systems(args), label_space(args.label_space)
    classes = [name for label in space.used_labels if (name := space.classes[label]) in systems[0].iou]
    return _drawn(args, systems, classes, f"IoU of each class on {args.split}")


def make_weakest(args: argparse.Namespace) -> Figure:
    """Draw the ``weakest`` classes of the first system."""
    systems = _systems(args)
    classes = weakest_classes(systems[0], args.weakest)
    return _drawn(args, systems, classes, f"The {len(classes)} weakest classes of {systems[0].name} on {args.split}")


def _systems(args: argparse.Namespace) -> "list[SystemBars]":
    if len(args.names) != len(args.confusions):
        raise UserError(f"--names: {len(args.names)} for {len(args.confusions)} confusions; give one for each.")
    if len(args.names) > MOST_SYSTEMS:
        raise UserError(f"--names: {len(args.names)} systems; at most {MOST_SYSTEMS} can be told apart by colour.")
    names, space = marked_systems(args.names, args.split, args.leakage), label_space(args.label_space)
    bootstrap = section_of(args, Bootstrap)
    return [read_bars(path, name, space, bootstrap) for name, path in zip(names, args.confusions, strict=True)]


def _drawn(args: argparse.Namespace, systems: "list[SystemBars]", classes: list[str], title: str) -> Figure:
    whiskers = f"whiskers: {100 * args.confidence:g} % bootstrap interval over pictures"
    note = "; ".join(filter(None, (whiskers, mark_note([system.name for system in systems]))))
    return draw_class_bars(systems, classes, title=title, note=note)


@dataclass(frozen=True)
class SystemBars:
    """The bars of one system, under its name.

    By class name: IoU, low and high end of its interval, in [0, 1]; the ends are NaN where one picture alone has the
    class. A class without ground truth is not in it.
    """

    name: str
    iou: dict[str, tuple[float, float, float]]


def read_bars(path: Path, name: str, space: LabelSpace, bootstrap: Bootstrap) -> SystemBars:
    """Read the confusions of one system and compute its bars; a `UserError` as of `load_confusions`."""
    _, confusions = load_confusions(path)
    ious = estimate(class_ious, counts_of_confusions(confusions), bootstrap)
    bars = np.stack([ious.value, ious.low, ious.high], axis=1)
    labels = [label for label in space.used_labels if not np.isnan(ious.value[label])]
    return SystemBars(name, {space.classes[label]: tuple(bars[label].tolist()) for label in labels})


def weakest_classes(bars: SystemBars, count: int) -> list[str]:
    """Return the classes of a system's smallest IoUs, the weakest first; equal ones by name."""
    return sorted(bars.iou, key=lambda name: (bars.iou[name][0], name))[:count]


def draw_class_bars(systems: list[SystemBars], classes: list[str], *, title: str, note: str) -> Figure:
    """Draw a group of bars for each class, of at most `MOST_SYSTEMS`, in as many rows as they need; with whiskers."""
    per_row = max(1, BARS_PER_ROW // len(systems))
    count = math.ceil(len(classes) / per_row)
    per_row = math.ceil(len(classes) / count)  # rows of like length
    legend_lines = math.ceil(len(systems) / LEGEND_COLUMNS)
    head = HEAD + LEGEND_LINE * legend_lines
    height = head + ROW_HEIGHT * count
    reach = np.nanmax([_percent(bars, classes) for bars in systems], initial=0) or 100
    with figure_style():
        figure = new_figure(PAGE_WIDTH_INCHES, height)
        figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - head / height))
        for number, axes in enumerate(figure.subplots(count, 1, squeeze=False)[:, 0]):
            part = classes[number * per_row : (number + 1) * per_row]
            bars = _draw_row(axes, systems, part, slots=per_row)
            axes.set_ylim(0, min(100, reach * 1.05))
        write(figure, title, PAGE_WIDTH_INCHES / 2, 0.06, ha="center", size=8.5, weight="bold")
        write(figure, note, PAGE_WIDTH_INCHES / 2, 0.23, ha="center", size=6.5, color=MUTED)
        figure.legend(
            handles=bars,
            labels=[system.name for system in systems],
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.34 / height),
            ncols=min(LEGEND_COLUMNS, len(systems)),
            columnspacing=1.4,
            handlelength=1.2,
        )
    return figure


def _percent(bars: SystemBars, classes: list[str]) -> np.ndarray:
    """Return the IoU of some classes and the ends of its interval, (classes, 3); NaN for what there is not."""
    return 100 * np.array([bars.iou.get(name, (math.nan,) * 3) for name in classes])


def _draw_row(axes: Axes, systems: list[SystemBars], classes: list[str], *, slots: int) -> list[BarContainer]:
    places = np.arange(len(classes))
    width = 0.8 / len(systems)
    drawn = []
    for index, bars in enumerate(systems):
        values, *ends = _percent(bars, classes).T
        drawn += [
            axes.bar(
                places + (index - (len(systems) - 1) / 2) * width,
                values,
                width=width,
                color=BAR_COLOURS[index],
                label=bars.name,
                yerr=np.abs(ends - values),
                error_kw={"elinewidth": 0.5, "ecolor": INK, "capsize": 0},
            )
        ]
    slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slots > MOST_LEVEL_NAMES else {}
    axes.set_xticks(places, classes, **slant)
    axes.set_xlim(-0.6, slots - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
    axes.set_ylabel("IoU, %")
    return drawn
