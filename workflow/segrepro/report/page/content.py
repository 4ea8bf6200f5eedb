"""Tables and figures as the page shows them: titles, captions, what is a number."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from segrepro.data.pictures import picture_size
from segrepro.errors import UserError
from segrepro.evaluation.leakage import MARK, Marks, marked
from segrepro.report.figures import FIGURES
from segrepro.report.published import LEAKS, MEASURED, TEST_MIOU

NUMBER = re.compile(r"^[-+]?\d+(\.\d+)?$")

# Tables come in this order, what is not named here behind them by name.
ORDER = (
    *(
        "miou",
        "reproduction",
        "report2",
        "per_class_iou",
        "crf",
        "ablation",
        "paired",
    ),
    *("voc2012_test", "leakage"),
)
TITLES = {
    "miou": "Measured and reported",
    "reproduction": "Agreement with other seeds and with what is reported",
    "report2": "As report 2 lays it out",
    "paired": "Differences between systems",
    "per_class_iou": "IoU of each class",
    "crf": "DenseCRF",
    "ablation": "Ablations",
    "voc2012_test": "VOC 2012 test",
    "leakage": "Leakage",
    "near_duplicates": "Near-duplicates of COCO and VOC",
    "proposals": "Proposals",
    "examples": "Training examples",
    "boundary": "Boundaries and object sizes",
    "crf_search": "Search for a CRF's parameters",
    "provenance": "Where each number comes from",
}
# Words of the tables' columns that are no English.
WORDS = {"miou": "mIoU", "iou": "IoU", "fw": "freq.-weighted", "leaks": "leaks %", "id": "id", "ids": "ids", "ci": "CI"}
# Columns whose cells get a bar; a table where every column from the first class on is an IoU gets a heat map instead.
BARS = ("miou",)
HEAT_TABLES = ("per_class_iou",)
NAMES = ("system", "split", "leaks")
# Columns that name a system of the row's split, and where the row says what share of it leaks.
LEAKS_OF = {"system": "leaks"} | {name: f"{name}_leaks" for name in ("refines", "baseline", "first", "second")}


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the number in it (None for text), and how full its bar is (percent; None for none)."""

    text: str
    number: float | None = None
    fill: float | None = None


@dataclass(frozen=True)
class Table:
    """A table: where it lies, its heading, its columns as in the file and as shown, and its cells."""

    path: Path
    name: str
    title: str
    caption: str
    fields: list[str]
    columns: list[str]
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

    A system that has seen pictures it is scored on gets its mark, as in figures: wherever the row gives a share for it
    (`LEAKS_OF`) or the audit does; in report 2's table, which has systems as columns, what was measured of it.

    Args:
        path: the table.
        folder: of all tables.
        marks: the audit's shares of leaked pictures; None where there was no audit.

    Raises:
        UserError: the file is missing, empty, or has rows of different lengths.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.reader(stream))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such table; make it with `segrepro tables`.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table ({error}); make it again.") from error
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise UserError(f"{path}: the table is empty or its rows differ in length; make it again.")
    header, *rows = lines
    name = _name(path, folder)
    numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(header))]
    heat = name in HEAT_TABLES
    filled = [
        number and (title not in NAMES if heat else title in BARS)
        for title, number in zip(header, numeric, strict=True)
    ]
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    leaking = [_leaking(line, lines if name == "report2" else [], marks or {}) for line in lines]
    cells = [
        [
            _cell(text, number, fill, MARK if title in leaks else "")
            for text, title, number, fill in zip(row, header, numeric, filled, strict=True)
        ]
        for row, leaks in zip(rows, leaking, strict=True)
    ]
    columns = [" ".join(WORDS.get(word, word) for word in column.split("_")) for column in header]
    return Table(path, name, _title(name, TITLES), caption(name), header, columns, numeric, cells, heat)


def _leaking(row: dict[str, str], report2: list[dict[str, str]], marks: Marks) -> set[str]:
    """Return the columns of a row whose cells get the mark.

    Args:
        row: of a table.
        report2: all rows of report 2's table; none for another table.
        marks: the audit's.
    """
    if report2:
        measured = row["origin"] == MEASURED and row["criterion"] not in (TEST_MIOU, LEAKS)
        shares = next((other for other in report2 if other["criterion"] == LEAKS), {})
        return {column for column in row if measured and column not in ("criterion", "origin") and shares.get(column)}
    audited = {system for system, shares in marks.items() if shares.get(row.get("split", ""), 0) > 0}
    return {column for column, key in LEAKS_OF.items() if row.get(column) and (row.get(key) or row[column] in audited)}


def read_picture(path: Path, folder: Path, marks: Marks | None = None) -> Picture:
    """Read what the page needs of a figure (PNG) below the folder of all figures.

    The heading of a figure of one system and split has the system's mark.

    Args:
        path: the figure.
        folder: of all figures.
        marks: as of `read_table`.

    Raises:
        UserError: the file is missing or damaged.
    """
    name = _name(path, folder)
    kind, *rest = name.split("/")
    if len(rest) == 2:
        system, split = rest
        rest = [marked(system, (marks or {}).get(system, {}).get(split, 0)), split]
    titles = {name: entry.title for name, entry in FIGURES.items()}
    return Picture(path, name, _title("/".join([kind, *rest]), titles), caption(name, figure=True), *picture_size(path))


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
    system, split, leaks, miou = (table.fields.index(name) for name in ("system", "split", "leaks", "miou"))
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


def caption(name: str, *, figure: bool = False) -> str:
    """Return the caption of a table or figure, the text that Snakemake's own report shows too; empty without one."""
    kind = name.split("/")[0]
    if figure:
        return FIGURES[kind].caption if kind in FIGURES else ""
    file = resources.files("segrepro.report") / "captions" / f"{kind}.rst"
    return " ".join(file.read_text(encoding="utf-8").split()).replace("``", "") if file.is_file() else ""


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _title(name: str, titles: Mapping[str, str]) -> str:
    kind, *rest = name.split("/")
    title = titles.get(kind, kind.replace("_", " ").capitalize())
    return f"{title}: {', '.join(rest)}" if rest else title


def _is_numeric(texts: list[str]) -> bool:
    given = [text for text in texts if text]
    return bool(given) and all(NUMBER.match(text) for text in given)


def _cell(text: str, numeric: bool, filled: bool, mark: str) -> Cell:
    shown = f"{text} {mark}" if mark and text else text
    if not numeric or not text:
        return Cell(shown)
    number = float(text)
    return Cell(shown, number, min(100.0, max(0.0, number)) if filled else None)
