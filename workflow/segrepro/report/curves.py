"""The curves of trainings: loss, training pixel accuracy and learning rate against the step."""

import argparse
import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from segrepro.errors import UserError
from segrepro.report.style import PAGE_WIDTH_INCHES, figure_style, line_look, new_figure

COLUMNS = ("step", "learning_rate", "loss", "pixel_accuracy")
SMOOTH_FROM_POINTS = 60  # shorter histories are drawn as they are
WINDOW_SHARE = 0.04  # of a history's points, in the running mean
PANEL_HEIGHTS = (3, 3, 1.6)
LOG_SPAN = 8  # a loss that falls by more than this factor is drawn on a logarithmic axis


def make(args: argparse.Namespace) -> Figure:
    """Draw the trainings of ``history``, named by ``names`` or their folders."""
    names = args.names or [path.resolve().parent.name for path in args.history]
    if len(names) != len(args.history):
        raise UserError(f"--names has {len(names)} names for {len(args.history)} histories; give one each.")
    return draw_curves([read_history(path, name) for path, name in zip(args.history, names, strict=True)])


@dataclass(frozen=True)
class History:
    """The history of one training: its name, and the columns of its file, shape (n,) each; the steps increase."""

    name: str
    step: np.ndarray
    learning_rate: np.ndarray
    loss: np.ndarray
    pixel_accuracy: np.ndarray


def read_history(path: Path, name: str) -> History:
    """Read a trainer's ``history.csv``; columns beyond `COLUMNS` are allowed.

    Raises:
        UserError: the file is missing, empty, lacks a column, has a value that is no number, or its steps do
            not increase.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such history; `segrepro train` writes it.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV history ({error}); train again.") from error
    if not rows:
        raise UserError(f"{path}: the history has no rows; wait for the first steps of the training.")
    missing = [column for column in COLUMNS if column not in rows[0]]
    if missing:
        raise UserError(f"{path}: column '{missing[0]}' is missing; a history has {', '.join(COLUMNS)}.")
    values = {column: [_number(path, n, row, column) for n, row in enumerate(rows, 2)] for column in COLUMNS}
    step = np.array(values["step"], np.int64)
    if (np.diff(step) <= 0).any():
        raise UserError(f"{path}: its steps do not increase; the file was put together from several trainings.")
    return History(name, step, *(np.array(values[column]) for column in COLUMNS[1:]))


def _number(path: Path, line: int, row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}, line {line}: {column} is '{row[column]}', not a number; train again.")
    return value


def running_mean(values: np.ndarray) -> np.ndarray:
    """Return the centred running mean over `WINDOW_SHARE` of the points; the window is cut off at both ends."""
    half = int(len(values) * WINDOW_SHARE / 2)
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, end = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[end] - total[first]) / (end - first)


def draw_curves(histories: list[History]) -> Figure:
    """Draw some trainings into three panels that share the steps; many points as a running mean over a pale trace."""
    with figure_style():
        names = len(histories) > 1
        figure = new_figure(PAGE_WIDTH_INCHES * 0.8, 4.2 + 0.16 * math.ceil(len(histories) / 3) * names)
        figure.set_layout_engine("constrained", hspace=0.03)
        loss, accuracy, rate = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": PANEL_HEIGHTS})
        for index, history in enumerate(histories):
            look = line_look(index)
            _trace(loss, history.step, history.loss, history.name, look)
            _trace(accuracy, history.step, 100 * history.pixel_accuracy, history.name, look)
            rate.plot(history.step, history.learning_rate, **look)
        _dress(histories, loss, accuracy, rate)
        if names:
            loss.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=min(3, len(histories)), borderpad=0)
        else:
            loss.set_title(histories[0].name, loc="left")
        figure.align_ylabels()
    return figure


def _trace(axes: Axes, step: np.ndarray, values: np.ndarray, name: str, look: dict[str, str]) -> None:
    marker = "o" if len(step) == 1 else None
    if len(step) < SMOOTH_FROM_POINTS:
        axes.plot(step, values, label=name, marker=marker, **look)
        return
    axes.plot(step, values, color=look["color"], linewidth=0.5, alpha=0.25)
    axes.plot(step, running_mean(values), label=name, **look)


def _dress(histories: list[History], loss: Axes, accuracy: Axes, rate: Axes) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")  # 0.005 and 1e-10 alike, without an offset elsewhere
    losses = np.concatenate([history.loss for history in histories])
    if losses.min() > 0 and losses.max() / losses.min() > LOG_SPAN:
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_minor_locator(NullLocator())
    loss.yaxis.set_major_formatter(plain)
    loss.set_ylabel("training loss")
    accuracy.set_ylabel("training pixel\naccuracy (%)")
    rate.set_ylabel("learning rate")
    rate.set_ylim(bottom=0)
    rate.yaxis.set_major_locator(MaxNLocator(3))
    rate.yaxis.set_major_formatter(plain)
    rate.set_xlabel("step (optimiser updates)")
    rate.xaxis.set_major_formatter(EngFormatter(sep=""))
    rate.set_xlim(left=0)
