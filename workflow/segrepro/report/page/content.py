"""Tables and figures as the page shows them: titles, captions, what is a number."""

import csv
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from segrepro.data.pictures import picture_size
from segrepro.errors import UserError
from segrepro.evaluation.leakage import MARK

NUMBER = re.compile(r"^[-+]?\d+(\.\d+)?$")

# Tables and figures come in this order, what is not named here behind them by name.
ORDER = (
    *("miou", "report2", "grid", "per_class_iou", "class_bars", "weak_classes", "crf", "ablation", "paired"),
    *("voc2012_test", "leakage"),
)
TITLES = {
    "miou": "Measured and reported",
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
    "grid": "Picture, truth, predictions",
    "class_bars": "IoU of each class",
    "weak_classes": "The weak classes",
    "labels": "Label histogram",
    "training": "Training curves",
    "sample": "Generated scenes",
}
# Words of the tables' columns that are no English.
WORDS = {"miou": "mIoU", "iou": "IoU", "fw": "freq.-weighted", "leaks": "leaks %", "id": "id", "ids": "ids", "ci": "CI"}
# Columns whose cells get a bar; a table where every column from the first class on is an IoU gets a heat map instead.
BARS = ("miou",)
HEAT_TABLES = ("per_class_iou",)
NAMES = ("system", "split", "leaks")


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


def read_table(path: Path, folder: Path) -> Table:
    """Read a CSV table below the folder of all tables.

    A system that has seen pictures it is scored on (a number in the column ``leaks``) gets its mark, as in figures.

    Raises:
        UserError: the file is missing, empty, or has rows of different lengths.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = list(csv.reader(stream))
    except FileNotFoundError:
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
    cells = []
    for row in rows:
        leaks = bool(dict(zip(header, row, strict=True)).get("leaks"))
        cells.append(
            [
                _cell(f"{text} {MARK}" if leaks and title == "system" else text, number, fill)
                for text, title, number, fill in zip(row, header, numeric, filled, strict=True)
            ]
        )
    columns = [" ".join(WORDS.get(word, word) for word in column.split("_")) for column in header]
    return Table(path, name, _title(name), caption(name), header, columns, numeric, cells, heat)


def read_picture(path: Path, folder: Path) -> Picture:
    """Read what the page needs of a figure (PNG) below the folder of all figures.

    Raises:
        UserError: the file is missing or damaged.
    """
    name = _name(path, folder)
    return Picture(path, name, _title(name), caption(name), *picture_size(path))


def in_order(items: list) -> list:
    """Sort tables or figures: those of `ORDER` first, the others by name."""
    places = {name: number for number, name in enumerate(ORDER)}
    return sorted(items, key=lambda item: (places.get(item.name.split("/")[0], len(ORDER)), item.name))


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


def caption(name: str) -> str:
    """Return the caption of a table or figure, the text that Snakemake's own report shows too; empty without one."""
    file = resources.files("segrepro.report") / "captions" / f"{name.split('/')[0]}.rst"
    return " ".join(file.read_text(encoding="utf-8").split()).replace("``", "") if file.is_file() else ""


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _title(name: str) -> str:
    kind, *rest = name.split("/")
    title = TITLES.get(kind, kind.replace("_", " ").capitalize())
    return f"{title}: {', '.join(rest)}" if rest else title


def _is_numeric(texts: list[str]) -> bool:
    given = [text for text in texts if text]
    return bool(given) and all(NUMBER.match(text) for text in given)


def _cell(text: str, numeric: bool, filled: bool) -> Cell:
    if not numeric or not text:
        return Cell(text)
    number = float(text)
    return Cell(text, number, min(100.0, max(0.0, number)) if filled else None)
