"""The one layout of sheets of pictures: rows of cells with captions, titles of columns, the labels' legend below."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segrepro.labels import VOID, LabelSpace, voc_palette
from segrepro.report.style import MUTED, PAGE_WIDTH_INCHES, add_panel, colourise, figure_style, new_figure, write

# Lengths in inches.
MARGIN = 0.06
GAP = 0.06
CAPTION = 0.19  # below each row
NOTE = 0.1  # more, where cells have notes
TITLE_LINE = 0.15
LETTER_WIDTH = 0.065  # of the titles' type, on average
MAX_ASPECT = 1.0  # an upright picture is drawn narrower rather than its row higher
LEGEND_LINE = 0.15
LEGEND_COLUMN = 1.0
SPACE_ABOVE_LEGEND = 0.08

BOLD = {"weight": "bold"}
GREY = {"color": MUTED}


@dataclass(frozen=True)
class Cell:
    """A picture of a sheet."""

    image: np.ndarray  # uint8 RGB, shape (height, width, 3), or labels (height, width), painted in VOC's colours
    caption: str = ""  # below it
    look: Mapping[str, Any] = field(default_factory=dict)  # of the caption, as matplotlib's text takes it
    note: str = ""  # a second line, in small type
    dress: Callable[[Axes], None] | None = None  # draws more into the picture's axes

    @property
    def is_labels(self) -> bool:
        """Whether it shows labels."""
        return self.image.ndim == 2


@dataclass(frozen=True)
class Legend:
    """Patches of labels, in as many lines as they need, at the foot of a sheet."""

    labels: list[int]  # what is shown, in order
    space: LabelSpace
    note: str = ""  # a line below them
    hatched_void: bool = False  # drawn hatched on white and called padding too, as where it lies over a picture

    def columns(self, width: float) -> int:
        """Return how many patches stand side by side in a sheet of a width in inches."""
        return min(max(1, int((width - 2 * MARGIN) / LEGEND_COLUMN)), max(1, len(self.labels)))

    def height(self, width: float) -> float:
        """Return its height in a sheet of a width, both in inches."""
        return LEGEND_LINE * (math.ceil(len(self.labels) / self.columns(width)) + bool(self.note)) + SPACE_ABOVE_LEGEND

    def draw(self, figure: Figure) -> None:
        """Draw it in the middle of the figure's foot."""
        width, height = figure.get_size_inches()
        write(figure, self.note, width / 2, height - MARGIN, ha="center", va="bottom", size=6.5, color=MUTED)
        figure.legend(
            handles=[self._patch(label) for label in self.labels],
            loc="lower center",
            bbox_to_anchor=(0.5, (MARGIN / 2 + LEGEND_LINE * bool(self.note)) / height),
            ncols=self.columns(width),
            handlelength=1.3,
            handleheight=0.9,
            columnspacing=1.4,
            labelspacing=0.45,
            borderpad=0,
        )

    def _patch(self, label: int) -> Patch:
        line = {"edgecolor": MUTED, "linewidth": 0.4}
        if label == VOID and self.hatched_void:
            return Patch(facecolor="white", hatch="///////", label="void, padding", **line)
        name = "void" if label == VOID else self.space.classes[label] or f"label {label}"
        return Patch(facecolor=voc_palette()[label] / 255, label=name, **line)


def labels_in(rows: list[list[Cell]]) -> list[int]:
    """Return the labels that occur in the cells that show labels, sorted."""
    return np.unique(np.concatenate([np.unique(cell.image) for row in rows for cell in row if cell.is_labels])).tolist()


def draw_sheet(
    rows: list[list[Cell]],
    columns: int,
    *,
    titles: Sequence[tuple[str, Mapping[str, Any]]] = (),
    legend: Legend | None = None,
    head: float = MARGIN,
    gap: float = GAP,
    smallest: float = 0.0,
) -> Figure:
    """Draw a sheet as wide as a page.

    Args:
        rows: its cells; the first of each row has the aspect of all, and a row may have fewer than ``columns``.
        columns: their number.
        titles: of the columns, each with its look; long ones are broken.
        legend: of the labels that are shown.
        head: inches above the titles, for the caller to draw into.
        gap: inches between columns.
        smallest: width of a cell in inches; with many columns the sheet grows wider than a page instead.
    """
    room = max(smallest, (PAGE_WIDTH_INCHES - 2 * MARGIN - (columns - 1) * gap) / columns)
    width = 2 * MARGIN + columns * room + (columns - 1) * gap
    middles = [MARGIN + column * (room + gap) + room / 2 for column in range(columns)]
    wrapped = [wrap_name(text, int(room / LETTER_WIDTH)) for text, _ in titles]
    top = head + TITLE_LINE * max((text.count("\n") + 1 for text in wrapped), default=0)
    caption = CAPTION + NOTE * any(cell.note for row in rows for cell in row)
    heights = [room * min(row[0].image.shape[0] / row[0].image.shape[1], MAX_ASPECT) for row in rows]
    foot = MARGIN + (legend.height(width) if legend else 0)
    with figure_style():
        figure = new_figure(width, top + sum(heights) + caption * len(rows) + foot)
        for text, (_, look), middle in zip(wrapped, titles, middles, strict=False):
            write(figure, text, middle, top - 0.05, ha="center", va="bottom", size=7.5, linespacing=1.1, **look)
        for row, height in zip(rows, heights, strict=True):
            for cell, middle in zip(row, middles, strict=False):
                _draw_cell(figure, cell, middle, top, (room, height))
            top += height + caption
        if legend:
            legend.draw(figure)
    return figure


def draw_tiles(cells: list[Cell], columns: int, *, title: str, head: float, **layout: Any) -> Figure:
    """Draw cells from left to right in rows of some columns, with a title above all; see `draw_sheet`."""
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    with figure_style():
        figure = draw_sheet(rows, columns, head=head, **layout)
        write(figure, title, MARGIN, MARGIN, size=8)
    return figure


def _draw_cell(figure: Figure, cell: Cell, middle: float, top: float, room: tuple[float, float]) -> None:
    width = min(room[0], room[1] * cell.image.shape[1] / cell.image.shape[0])
    axes = add_panel(figure, middle - width / 2, top, width, room[1])
    image = colourise(cell.image) if cell.is_labels else cell.image
    axes.imshow(image, interpolation="nearest" if cell.is_labels else "antialiased", aspect="auto")
    axes.set_axis_off()
    if cell.dress:
        cell.dress(axes)
    below = top + room[1] + 0.025
    write(figure, cell.caption, middle, below, ha="center", size=6.5, **cell.look)
    write(figure, cell.note, middle, below + NOTE, ha="center", size=5, color=MUTED)


def wrap_name(name: str, letters: int) -> str:
    """Break a system's name into lines of at most some letters, after underscores, hyphens and spaces."""
    lines = [""]
    for part in name.replace("_", "_\0").replace("-", "-\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
