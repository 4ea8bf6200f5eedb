"""Manifests: the one list of examples that every trainer and predictor eats.

A manifest is a CSV with one row per example: ``id,image,mask`` and optionally a box ``x1,y1,x2,y2`` (pixels, may
leave the picture; half-open, so that the width is x2 - x1), an instance (``instance_mask,instance``) and ``repeats``,
how often the example comes in an epoch (1 where the column is absent). Paths are relative to the manifest's own
folder; rows are sorted, so the file's hash is stable. ``mask`` is empty where there is no ground truth (VOC test).
A byte order mark and Windows' line ends, which spreadsheets write, change nothing.
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segrepro.errors import UserError
from segrepro.files import write_rows

BASE_COLUMNS = ("id", "image", "mask")
BOX_COLUMNS = ("x1", "y1", "x2", "y2")
INSTANCE_COLUMNS = ("instance_mask", "instance")
REPEATS_COLUMN = "repeats"


@dataclass(frozen=True, order=True)
class Example:
    """One training or evaluation example: a row of a manifest."""

    id: str  # of the picture
    image: Path
    mask: Path | None = None  # None where there is no ground truth
    box: tuple[int, int, int, int] | None = None  # (x1, y1, x2, y2) in pixels; None for the whole picture
    instance_mask: Path | None = None
    instance: int | None = None  # pixel value of this example's object in the instance mask
    repeats: int = 1  # how often it comes in an epoch, 1 or more


def instances_beside(mask: Path) -> Path:
    """Return where a mask's instance mask lies in VOC's and SBD's dataset folders."""
    folder = Path(os.path.abspath(mask)).parent  # noqa: PTH100 - "a.png" has a folder too, and links stay as they are
    return folder.parent / "instances" / mask.name


def write_manifest(path: Path, examples: list[Example]) -> None:
    """Write a manifest atomically, rows sorted, paths relative to its folder; none, or a picture twice, are refused."""
    path = Path(path)
    if not examples:
        raise UserError(f"{path}: the manifest would be empty; check the id lists it is built from.")
    _refuse_duplicates(path, examples)
    with_box = any(example.box for example in examples)
    with_instance = any(example.instance is not None for example in examples)
    columns = BASE_COLUMNS + (BOX_COLUMNS if with_box else ()) + (INSTANCE_COLUMNS if with_instance else ())
    columns += (REPEATS_COLUMN,) if any(example.repeats != 1 for example in examples) else ()
    folder = path.parent.resolve()

    def relative(file: Path | None) -> str:
        return Path(os.path.relpath(Path(file).resolve(), folder)).as_posix() if file else ""

    def row_of(e: Example) -> list[str | int | None]:
        row = {"id": e.id, "image": relative(e.image), "mask": relative(e.mask)}
        row |= dict(zip(BOX_COLUMNS, e.box or (), strict=False))
        row |= {"instance_mask": relative(e.instance_mask), "instance": e.instance, REPEATS_COLUMN: e.repeats}
        return [row.get(column) for column in columns]

    write_rows(path, columns, map(row_of, sorted(examples, key=lambda e: (e.id, e.box or (), e.instance or 0))))


def read_manifest(path: Path) -> list[Example]:
    """Read a manifest; paths come back joined to the manifest's folder.

    Raises:
        UserError: the file is missing, empty, lacks a column, or has a row that cannot be read.
    """
    path = Path(path)
    examples = [_example(path, number, row) for number, row in _numbered_rows(path)]
    _refuse_duplicates(path, examples)
    return examples


def read_some(path: Path, wanted: Callable[[int], Sequence[int]]) -> tuple[list[Example], int]:
    """Read some rows of a manifest that may have millions (DeconvNet's second stage), without holding the others.

    ``wanted`` makes of the number of rows the places of those to read, each once, from 0. Returns their examples, in
    the order of the places, and the number of rows; other rows are not checked.
    """
    path = Path(path)
    count = sum(1 for _ in _numbered_rows(path))
    places = {place: order for order, place in enumerate(wanted(count))}
    found = {
        places[place]: _example(path, number, row)
        for place, (number, row) in enumerate(_numbered_rows(path))
        if place in places
    }
    return [found[order] for order in range(len(places))], count


def _numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield the rows, each with the number that it has in messages (the header is 1), at least one."""
    number = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                if number == 2:
                    _check_columns(path, row)
                yield number, row
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such manifest; make it with `segrepro manifest`.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV manifest ({error}); make it again, or save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV manifest ({error}); make it again.") from error
    if number == 1:
        raise UserError(f"{path}: the manifest has no rows; make it again from non-empty lists.")


def _check_columns(path: Path, row: dict[str, str | None]) -> None:
    missing = [column for column in BASE_COLUMNS if column not in row]
    if missing:
        header, marks = "".join(filter(None, row)), {";": "semicolons", "\t": "tabs"}
        if separator := next((name for mark, name in marks.items() if mark in header), None):
            raise UserError(f"{path}: its fields are parted by {separator}; save it with commas between them.")
        raise UserError(f"{path}: column '{missing[0]}' is missing; a manifest starts with id,image,mask.")


def _example(path: Path, line: int, row: dict[str, str | None]) -> Example:
    try:
        if None in row.values() or None in row:
            raise ValueError("the row has not as many fields as the header")
        if not row["id"] or not row["image"]:
            raise ValueError("id and image must not be empty")
        box, instance = _box(row), row.get("instance")
        instance_mask = path.parent / row["instance_mask"] if row.get("instance_mask") else None
        if bool(instance) != bool(instance_mask):
            raise ValueError("instance and instance_mask come together or not at all")
        repeats = int(row.get(REPEATS_COLUMN, 1))
        if repeats < 1:
            raise ValueError(f"repeats is {repeats}; it must be 1 or more")
        mask = path.parent / row["mask"] if row["mask"] else None
        number = int(instance) if instance else None
        return Example(row["id"], path.parent / row["image"], mask, box, instance_mask, number, repeats)
    except ValueError as error:
        raise UserError(f"{path}, line {line}: {error}; make the manifest again.") from error


def _box(row: dict[str, str]) -> tuple[int, int, int, int] | None:
    given = [row.get(column) for column in BOX_COLUMNS]
    if not any(given):
        return None
    if not all(given):
        raise ValueError("a box needs x1, y1, x2 and y2")
    x1, y1, x2, y2 = (int(value) for value in given)
    if x1 >= x2 or y1 >= y2:
        raise ValueError(f"the box {x1},{y1},{x2},{y2} is empty")
    return x1, y1, x2, y2


def _refuse_duplicates(path: Path, examples: list[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.box is not None:
            continue
        if example.id in seen:
            raise UserError(f"{path}: picture '{example.id}' is listed twice; remove one of the two rows.")
        seen.add(example.id)


def check_listed(ids: Iterable[str], manifest: Path, *, key: str) -> None:
    """Refuse ids, named by the config's ``key``, that a manifest does not list."""
    listed = {example.id for example in read_manifest(manifest)}
    for id in ids:
        if id not in listed:
            raise UserError(f"{key}: no picture '{id}' in {manifest}; give ids of its first column.")
