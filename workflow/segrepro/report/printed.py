"""A table in three forms: CSV to compute with, Markdown to read, LaTeX for a paper.

CSV has plain numbers, one per column. Markdown and LaTeX show the same in the layout of a paper: intervals beside their
values, daggers behind leaking systems, classes by their short names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from segrepro.evaluation.leakage import MARK, MARK_NOTE
from segrepro.files import write_rows, write_text
from segrepro.report.columns import NOTHING, Column, Row
from segrepro.report.registry import Entry

LEAK_NOTE = f"{MARK_NOTE} (leakage.csv)."

WIDE = 80  # letters, of a row; a wider table is scaled to the width of the text, which holds about as many at 10 pt

_NUMBER = re.compile(r"^([+-]?\d|–$|$)")
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


@dataclass(frozen=True)
class Part:
    """What is printed under one heading."""

    title: str  # the heading; empty where the table has but one part
    headers: Sequence[str]  # of the columns
    cells: list[list[str]]  # rows of text, each as long as ``headers``


@dataclass(frozen=True)
class Table:
    """What the function of a table returns; columns, title and caption are its entry's."""

    rows: pd.DataFrame  # by the names of columns; texts, or numbers as the CSV has them, NaN where there is none
    notes: list[str]  # lines below what is printed
    title: str = ""  # instead of the entry's
    headings: Mapping[str, str] = field(default_factory=dict)  # instead of those that some columns declare
    printed: Mapping[str, Sequence[str]] = field(default_factory=dict)  # instead of some columns' text, where not empty
    parts_by: str = ""  # the column whose values head parts of what is printed
    parts: list[Part] | None = None  # what is printed instead of the rows


def write_forms(files: list[Path], entry: Entry, table: Table) -> None:
    """Write a table into files, each in the form that its ending says: .csv, .md or .tex."""
    columns = list(entry.columns)
    if entry.others:
        declared = {column.name for column in columns}
        columns += [entry.others(name) for name in table.rows if name not in declared]
    rows = csv_rows(columns, table.rows)
    shown = [entry.column(name) for name in entry.printed] or [
        column for column in columns if column.heading is not None
    ]
    parts = table.parts or _parts(shown, table, rows)
    for file in files:
        if file.suffix == ".csv":
            names = [column.name for column in columns]
            write_rows(file, names, [[row.get(name, "") for name in names] for row in rows])
        else:
            form = markdown if file.suffix == ".md" else latex
            write_text(file, form(table.title or entry.title, parts, table.notes))


def csv_rows(columns: Sequence[Column], rows: pd.DataFrame) -> list[Row]:
    """Return rows as the CSV has them, without the columns that they lack."""
    given = [column for column in columns if column.name in rows]
    texts = [map(column.text, rows[column.name]) for column in given]
    return [{column.name: text for column, text in zip(given, row, strict=True)} for row in zip(*texts, strict=True)]


def named(column: Column, row: Row, rows: Sequence[Row]) -> str:
    """Return what Markdown and LaTeX show of a row in a column, with its mark."""
    return column.shown(row) + (f" {MARK}" if row.get(column.name) and column.is_marked(row, rows) else "")


def _parts(columns: Sequence[Column], table: Table, rows: list[Row]) -> list[Part]:
    headers = [table.headings.get(column.name, column.heading) for column in columns]
    printed = {name: list(texts) for name, texts in table.printed.items()}
    parts: dict[str, list[list[str]]] = {}
    for number, row in enumerate(rows):
        instead = {name: texts[number] for name, texts in printed.items()}
        cells = [instead.get(column.name) or named(column, row, rows) for column in columns]
        parts.setdefault(row[table.parts_by] if table.parts_by else "", []).append(cells)
    return [Part(title, headers, cells) for title, cells in parts.items()] or [Part("", (), [])]


def markdown(title: str, parts: Sequence[Part], notes: Sequence[str]) -> str:
    """Return a table as Markdown (pipe tables), each part under its heading."""
    blocks = [f"# {title}"]
    for part in parts:
        blocks += [f"## {part.title}"] * bool(part.title)
        blocks.append(_tabulated(part, "pipe") if part.cells else "Nothing to show.")
    blocks += [note.replace("_", "\\_") for note in notes]
    return "\n\n".join(blocks) + "\n"


def latex(title: str, parts: Sequence[Part], notes: Sequence[str]) -> str:
    r"""Return a table as LaTeX to ``\input``: a tabular of booktabs for each part, wide ones scaled by graphicx.

    The notes stand below it in small type, for a dagger must be explained wherever it is printed.
    """
    blocks = [f"% {title}. Needs the packages booktabs and graphicx."]
    for part in parts:
        blocks += [f"% {part.title}"] * bool(part.title)
        if not part.cells:
            blocks.append("% Nothing to show.")
            continue
        text = _MINUS.sub("$-$", _ascii(_tabulated(part, "latex_booktabs")))
        blocks.append(f"\\resizebox{{\\linewidth}}{{!}}{{%\n{text}}}" if _letters(part) > WIDE else text)
    if any(part.cells for part in parts):
        blocks += [f"\n{{\\footnotesize {_sentence(note)}\\par}}" for note in notes]
    else:
        blocks += [f"% {note}" for note in notes]
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
