"""Columns of tables: declared once, they make the CSV, Markdown and LaTeX, and the table on the report page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "–"  # printed where there is nothing
# Words of the columns' names that are no English.
WORDS = {"miou": "mIoU", "iou": "IoU", "fw": "freq.-weighted", "leaks": "leaks %", "id": "id", "ids": "ids", "ci": "CI"}

Row = Mapping[str, str]  # of the CSV


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: in the CSV.
        heading: in Markdown, LaTeX and on the page; None for one that only the CSV and the page have.
        what: what it is, where heading and caption do not say it.
        decimals: of its numbers in the CSV; None for text and whole numbers.
        printed: how Markdown and LaTeX format its numbers; empty: as the CSV does.
        interval: the columns ``<interval>_low`` and ``<interval>_high`` are printed behind its numbers; empty: none.
        leaks: of a column that names or measures a system: where to find the share of the scored pictures that were
            seen in its making; the name of a column, or a function of the row and all rows. Where there is a share, the
            mark follows.
        bar: whether the page draws its numbers as bars.
    """

    name: str
    heading: str | None = None
    what: str = ""
    decimals: int | None = None
    printed: str = ""
    interval: str = ""
    leaks: str | Callable[[Row, Sequence[Row]], str] = ""
    bar: bool = False

    @property
    def title(self) -> str:
        """Its heading on the page."""
        return self.heading or " ".join(WORDS.get(word, word) for word in self.name.split("_"))

    def text(self, value: Any) -> str:
        """Return a value as the CSV has it; empty for None and NaN."""
        if value is None or value != value:  # NaN differs from itself
            return ""
        return str(value) if self.decimals is None or isinstance(value, str) else number(value, f".{self.decimals}f")

    def shown(self, row: Row) -> str:
        """Return what Markdown and LaTeX show of a row, but for its mark: ``57.61 [52.30, 63.05]``, or a dash.

        An interval without ends is a dash too; where the row has no columns of them at all, there is none.
        """
        text = row.get(self.name, "")
        if not text:
            return NOTHING
        ends = [row[name] for name in (f"{self.interval}_low", f"{self.interval}_high") if name in row]
        if self.printed:
            text, *ends = (part and number(float(part), self.printed) for part in (text, *ends))
        if not ends:
            return text
        return f"{text} [{', '.join(ends)}]" if all(ends) else f"{text} [{NOTHING}]"

    def is_marked(self, row: Row, rows: Sequence[Row]) -> bool:
        """Return whether its cell of a row shows a system that has seen pictures it is scored on."""
        return bool(self.leaks(row, rows) if callable(self.leaks) else row.get(self.leaks))


def number(value: float, form: str) -> str:
    """Format a number; what rounds to zero has no sign."""
    text = f"{value:{form}}"
    return text.lstrip("+-") if float(text) == 0 else text


def percent(name: str, heading: str | None = None, **more: Any) -> Column:
    """Return a column of percent with two decimals."""
    return Column(name, heading, decimals=2, **more)


def ends(name: str) -> tuple[Column, Column]:
    """Return the columns of an interval."""
    return percent(f"{name}_low"), percent(f"{name}_high")


SYSTEM = Column("system", "system", leaks="leaks")
SPLIT = Column("split", "split")
LEAKS = Column("leaks", what="share of the scored pictures that were seen in the system's making, in percent")
MIOU = percent("miou", "mIoU", bar=True)
# Of tables that declare none of these themselves.
COMMON = {column.name: column for column in (SYSTEM, SPLIT, LEAKS, MIOU)}
