"""The legend of a figure that shows labels: their colours and names, at its foot."""

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segrepro.labels import VOID, LabelSpace, voc_palette
from segrepro.report.style import MUTED

# Lengths in inches.
LINE = 0.15
COLUMN = 1.0
SPACE_ABOVE = 0.08


def labels_in(maps: Iterable[np.ndarray]) -> list[int]:
    """Return the labels that occur in any of some label maps, sorted."""
    return np.unique(np.concatenate([np.unique(part) for part in maps])).tolist()


class LabelLegend:
    """Patches of the labels, in as many lines as they need.

    Args:
        labels: what is shown, in order.
        space: names the labels.
        width: that the legend may take, in inches.
        hatched_void: void is drawn hatched on white and called padding too, as where it lies over a picture.
        note: a line below the labels; empty for none.

    Attributes:
        height: that it takes, in inches.
    """

    def __init__(
        self, labels: list[int], space: LabelSpace, *, width: float, hatched_void: bool = False, note: str = ""
    ) -> None:
        columns = max(1, int(width / COLUMN))
        self._note = note
        self.height = LINE * (math.ceil(len(labels) / columns) + bool(note)) + SPACE_ABOVE
        self._columns = min(columns, max(1, len(labels)))
        self._patches = [_patch(label, space, hatched_void) for label in labels]

    def draw(self, figure: Figure, *, margin: float) -> None:
        """Draw it in the middle of the figure's foot, half a margin (inches) above the edge."""
        height = figure.get_size_inches()[1]
        if self._note:
            figure.text(0.5, margin / height, self._note, ha="center", va="bottom", size=6.5, color=MUTED)
        figure.legend(
            handles=self._patches,
            loc="lower center",
            bbox_to_anchor=(0.5, (margin / 2 + LINE * bool(self._note)) / height),
            ncols=self._columns,
            handlelength=1.3,
            handleheight=0.9,
            columnspacing=1.4,
            labelspacing=0.45,
            borderpad=0,
        )


def _patch(label: int, space: LabelSpace, hatched_void: bool) -> Patch:
    line = {"edgecolor": MUTED, "linewidth": 0.4}
    if label == VOID and hatched_void:
        return Patch(facecolor="white", hatch="///////", label="void, padding", **line)
    name = "void" if label == VOID else space.classes[label] or f"label {label}"
    return Patch(facecolor=voc_palette()[label] / 255, label=name, **line)
