"""Tables and figures as the page shows them: titles, captions, what is a number."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segrepro.data.pictures import picture_size
from segrepro.errors import UserError
from segrepro.evaluation.leakage import MARK, Marks, marked
from segrepro.report.columns import Column, Row
from segrepro.report.figures import FIGURES
from segrepro.report.registry import Entry
from segrepro.report.tables import TABLES

NUMBER = re.compile(r"^[-+]?\d+(\.\d+)?$")


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the number in it (None for text), and how full its bar is (percent; None for none)."""

    text: str
    number: float | None = None
    fill: float | None = None


@dataclass(frozen=True)
class Table:
    """A table: where it lies, its heading, its columns and its cells; ``heat`` where bars would be in many columns."""

    path: Path
    name: str
    title: str
    caption: str
    columns: list[Column]
    numeric: list[bool]
    rows: list[list[Cell]]
    heat: bool


@dataclass(frozen=True)
class Picture:
    """A figure: where it lies, its heading, its caption, and its size in pixels."""

    path: Path
    name: str
    title: str
    caption: str
    width: int
    height: int


def read_table(path: Path, folder: Path, marks: Marks | None = None) -> Table:
    """Read a CSV table below the folder of all tables.

    A system that has seen pictures it is scored on gets its mark, as in figures: where its column is declared to have
    one, and the row gives a share for it or the audit's marks do.

    Raises:
        UserError: the file is missing, empty, or has rows of different lengths.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.reader(stream))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such table; make it with `segrepro table`.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table ({error}); make it again.") from error
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise UserError(f"{path}: the table is empty or its rows differ in length; make it again.")
    header, *lines = lines
    name = _name(path, folder)
    entry = _entry(name, TABLES)
    columns = [entry.column(field) for field in header]
    numeric = [_is_numeric([line[place] for line in lines]) for place in range(len(header))]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    cells = [
        [
            _cell(row[column.name], number, column.bar, _leaks(column, row, rows, marks or {}))
            for column, number in zip(columns, numeric, strict=True)
        ]
        for row in rows
    ]
    heat = sum(column.bar for column in columns) > 1
    return Table(path, name, _title(entry, name), entry.caption, columns, numeric, cells, heat)


def _leaks(column: Column, row: Row, rows: list[Row], marks: Marks) -> bool:
    audited = (
        isinstance(column.leaks, str) and column.leaks and marks.get(row[column.name], {}).get(row.get("split"), 0)
    )
    return bool(audited) or column.is_marked(row, rows)


def read_picture(path: Path, folder: Path, marks: Marks | None = None) -> Picture:
    """Read what the page needs of a figure (PNG) below the folder of all figures.

    The heading of a figure of one system and split has the system's mark. A file that is missing or damaged is a
    `UserError`.
    """
    name = _name(path, folder)
    kind, *rest = name.split("/")
    if len(rest) == 2:
        system, split = rest
        rest = [marked(system, (marks or {}).get(system, {}).get(split, 0)), split]
    entry = _entry(name, FIGURES)
    return Picture(path, name, _title(entry, "/".join([kind, *rest])), entry.caption, *picture_size(path))


def in_order(items: list, names: Iterable[str]) -> list:
    """Sort tables or figures: those of some names first, in their order, the others by name."""
    places = {name: number for number, name in enumerate(names)}
    return sorted(items, key=lambda item: (places.get(item.name.split("/")[0], len(places)), item.name))


def best_systems(tables: list[Table]) -> list[dict[str, str]]:
    """Return, for each split of the table ``miou``, the best of the systems that have not seen its pictures.

    Returns:
        ``split``, ``system``, ``value`` (mIoU in percent) and ``count`` of such systems, most systems first.
    """
    table = next((table for table in tables if table.name == "miou"), None)
    if table is None:
        return []
    names = ("system", "split", "leaks", "miou")
    system, split, leaks, miou = ([each.name for each in table.columns].index(name) for name in names)
    clean: dict[str, list[list[Cell]]] = {}
    for row in table.rows:
        if not row[leaks].text and row[miou].number is not None:
            clean.setdefault(row[split].text, []).append(row)
    clean = dict(sorted(clean.items(), key=lambda item: -len(item[1])))  # stable
    best = {name: max(rows, key=lambda row: row[miou].number) for name, rows in clean.items()}
    return [
        {"split": name, "system": row[system].text, "value": row[miou].text, "count": str(len(clean[name]))}
        for name, row in best.items()
    ]


def _entry(name: str, entries: Mapping[str, Entry]) -> Entry:
    """Return what is known of a table or figure; of one that is none of the report's, its name says the title."""
    kind = name.split("/")[0]
    nothing = Entry(name=kind, title=kind.replace("_", " ").capitalize(), category="", caption="")
    return entries.get(kind, nothing)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _title(entry: Entry, name: str) -> str:
    _, *rest = name.split("/")
    return f"{entry.title}: {', '.join(rest)}" if rest else entry.title


def _is_numeric(texts: list[str]) -> bool:
    given = [text for text in texts if text]
    return bool(given) and all(NUMBER.match(text) for text in given)


def _cell(text: str, numeric: bool, bar: bool, leaks: bool) -> Cell:
    shown = f"{text} {MARK}" if leaks and text else text
    if not numeric or not text:
        return Cell(shown)
    number = float(text)
    return Cell(shown, number, min(100.0, max(0.0, number)) if bar else None)
