"""What all figures share: type sizes, colours, the VOC palette, and saving with the same bytes every time."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.labels import voc_palette

PAGE_WIDTH_INCHES = 7.0  # text width of a page of A4 or US letter with usual margins
DPI = 250

INK = "#222222"
MUTED = "#666666"
RULE = "#d0d0d0"

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour vision. Yellow is left
# out, it is too light for lines on white.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINE_STYLES = ("-", "--", ":", "-.")  # the next style when the colours have been used up

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 7.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.4,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.2,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the figures' style, whatever the user's own matplotlib settings are."""
    with matplotlib.style.context(["default", STYLE]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, drawn without a display."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write(figure: Figure, text: str, x: float, y: float, **look: Any) -> None:
    """Write text, if there is any, at a place in inches from the figure's upper left corner.

    The place is the text's own upper left corner, unless its look (as matplotlib takes it) says otherwise.
    """
    if text:
        width, height = figure.get_size_inches()
        figure.text(x / width, 1 - y / height, text, **{"va": "top", **look})


def write_head(figure: Figure, title: str, note: str) -> None:
    """Write a figure's title in its upper left corner, and a note in small type in the other one."""
    write(figure, title, 0.06, 0.05, size=8.5, weight="bold")
    write(figure, note, figure.get_size_inches()[0] - 0.06, 0.06, ha="right", size=6.5, color=MUTED)


def add_panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes, placed in inches from the figure's upper left corner."""
    whole_width, whole_height = figure.get_size_inches()
    bottom = (whole_height - top - height) / whole_height
    return figure.add_axes((left / whole_width, bottom, width / whole_width, height / whole_height))


# Without the date and the names of the software, the same figure gives the same bytes.
METADATA = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": None, "Date": None},
}
# Ids in an SVG come from this word instead of from chance; a PDF holds its letters as text that can be searched.
FILE_STYLE = {"svg.hashsalt": "segrepro", "pdf.fonttype": 42}


def save_figure(figure: Figure, paths: Iterable[Path]) -> None:
    """Save a figure in each of some files, atomically: PNG, PDF or SVG by the ending; same figure, same bytes.

    Raises:
        UserError: a name ends otherwise; nothing is written then.
    """
    paths = [Path(path) for path in paths]
    for path in paths:
        if path.suffix not in METADATA:
            raise UserError(f"{path}: a figure is saved as {', '.join(METADATA)}; give a name that ends so.")
    with figure_style(), matplotlib.rc_context(FILE_STYLE):
        for path in paths:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=METADATA[path.suffix])


def line_look(index: int) -> dict[str, str]:
    """Return colour and line style of the line of a given index (from 0), different for the first 28."""
    return {
        "color": LINE_COLOURS[index % len(LINE_COLOURS)],
        "linestyle": LINE_STYLES[index // len(LINE_COLOURS) % len(LINE_STYLES)],
    }


def colourise(labels: np.ndarray) -> np.ndarray:
    """Paint labels (uint8) in the VOC palette, void (255) included: uint8 RGB, shape (height, width, 3)."""
    return voc_palette()[labels]
