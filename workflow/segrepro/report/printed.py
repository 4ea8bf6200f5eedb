"""A table in three forms: CSV to compute with, Markdown to read, LaTeX for a paper.

CSV has plain numbers, one a column. Markdown and LaTeX show the same in the layout of a paper: intervals beside their
values, daggers behind leaking systems, classes by their short names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from segrepro.evaluation.leakage import MARK, MARK_NOTE
from segrepro.files import write_text
from segrepro.report.tables import write_table

NOTHING = "–"
LEAK_NOTE = f"{MARK_NOTE} (leakage.csv)."

WIDE = 80  # letters, of a row; a wider table is scaled to the width of the text, which holds about as many at 10 pt

_NUMBER = re.compile(r"^([+-]?\d|–$|$)")
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


@dataclass(frozen=True)
class Part:
    """What is printed under one heading.

    Attributes:
        title: the heading; empty where the table has but one part.
        headers: of the columns.
        cells: rows of text, each as long as ``headers``.
    """

    title: str
    headers: Sequence[str]
    cells: list[list[str]]


@dataclass(frozen=True)
class Table:
    """A table before it is written.

    Attributes:
        name: of its files, without suffix.
        title: what it shows, in a line.
        columns: of the CSV.
        rows: of the CSV, with these columns as keys.
        parts: what Markdown and LaTeX show.
        notes: lines below it.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: list[dict[str, str]]
    parts: list[Part]
    notes: list[str]


def write_forms(folder: Path, table: Table) -> None:
    """Write ``<name>.csv``, ``.md`` and ``.tex`` into a folder, each atomically."""
    write_table(folder / f"{table.name}.csv", table.columns, table.rows)
    write_text(folder / f"{table.name}.md", markdown(table))
    write_text(folder / f"{table.name}.tex", latex(table))


def markdown(table: Table) -> str:
    """Return a table as Markdown (pipe tables), each part under its heading."""
    blocks = [f"# {table.title}"]
    for part in table.parts:
        blocks += [f"## {part.title}"] * bool(part.title)
        blocks.append(_tabulated(part, "pipe") if part.cells else "Nothing to show.")
    blocks += [note.replace("_", "\\_") for note in table.notes]
    return "\n\n".join(blocks) + "\n"


def latex(table: Table) -> str:
    r"""Return a table as LaTeX to ``\input``: a tabular of booktabs for each part, wide ones scaled by graphicx.

    The notes stand below it in small type, for a dagger must be explained wherever it is printed.
    """
    blocks = [f"% {table.title}. Needs the packages booktabs and graphicx."]
    for part in table.parts:
        blocks += [f"% {part.title}"] * bool(part.title)
        if not part.cells:
            blocks.append("% Nothing to show.")
            continue
        text = _MINUS.sub("$-$", _ascii(_tabulated(part, "latex_booktabs")))
        blocks.append(f"\\resizebox{{\\linewidth}}{{!}}{{%\n{text}}}" if _letters(part) > WIDE else text)
    if any(part.cells for part in table.parts):
        blocks += [f"\n{{\\footnotesize {_sentence(note)}\\par}}" for note in table.notes]
    else:
        blocks += [f"% {note}" for note in table.notes]
    return "\n".join(blocks) + "\n"


def _ascii(text: str) -> str:
    return text.replace(MARK, r"\textdagger{}").replace(NOTHING, "--")


def _sentence(note: str) -> str:
    """Write a note in LaTeX: what is in backquotes as code."""
    escaped = re.sub(r"([%&#$_{}])", r"\\\1", note)
    return _ascii(re.sub("`([^`]*)`", r"\\texttt{\1}", escaped))


def _letters(part: Part) -> int:
    """Return the letters of the widest cells of all columns together."""
    return sum(max(map(len, column)) for column in zip(part.headers, *part.cells, strict=True))


def _tabulated(part: Part, form: str) -> str:
    columns = list(zip(*part.cells, strict=True))
    aligned = ["right" if all(_NUMBER.match(cell) for cell in column) else "left" for column in columns]
    return tabulate(part.cells, list(part.headers), tablefmt=form, colalign=aligned, disable_numparse=True)
