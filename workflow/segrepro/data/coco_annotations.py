"""COCO's annotations JSON: read, checked, and held compactly.

``instances_train2017.json`` is 448 MB of text. As Python lists of floats it would take several GB, so each
annotation is reduced to a `Region` with packed coordinates while the JSON is still being parsed.
"""

import json
import re
from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from segrepro.data.archives import open_zip, read_member
from segrepro.data.id_lists import ID_PATTERN
from segrepro.errors import UserError
from segrepro.json_files import KeyTwiceError, unique_keys
from segrepro.labels import COCO_CATEGORIES

# A triangle. COCO has a few "polygons" with less, which pycocotools would take for a bounding box.
MIN_POLYGON_NUMBERS = 6

# Larger than any JPEG can be (16 bit): such a size is a fault of the JSON.
MAX_SIDE = 65_535

# Seven groups of 5 bits hold any run of a picture that large; without a bound, one endless number takes for ever.
MAX_SHIFT = 35


class Picture(NamedTuple):
    """One entry of the JSON's ``images``; sizes in pixels."""

    id: int
    file_name: str
    width: int
    height: int


class Region(NamedTuple):
    """One annotation: a category and the pixels it covers."""

    id: int
    category: int  # COCO's id, 1..90
    crowd: bool  # it marks a crowd of objects instead of one
    polygons: tuple[array, ...]  # each x1, y1, x2, y2, ... in pixels (doubles); empty where run lengths are given
    run_lengths: array | None  # of the runs of 0, 1, 0, ... in column order (unsigned ints), or None
    size: tuple[int, int] | None  # (height, width) that the run lengths are for, or None


@dataclass
class Annotations:
    """What one JSON, which messages call ``source``, holds.

    ``degenerate_polygons`` says how many polygons with less than three corners were skipped (an annotation without any
    polygon counts as one).
    """

    source: str
    pictures: list[Picture]  # sorted by id
    regions: dict[int, list[Region]]  # by picture id, in the JSON's order; pictures without any are left out
    degenerate_polygons: int


def read_annotations(archive: Path, split: str) -> Annotations:
    """Read ``annotations/instances_<split>.json`` from ``annotations_trainval2017.zip``.

    Raises:
        UserError: the member is missing or no COCO instances JSON; a key is missing or of another type; a
            category is not COCO's; an annotation belongs to no picture; a picture or an annotation is listed twice.
    """
    member = f"annotations/instances_{split}.json"
    with open_zip(archive) as opened:
        content = read_member(opened, member)
    return parse_annotations(content, source=f"{archive}: {member}")


def parse_annotations(content: bytes, *, source: str) -> Annotations:
    """Parse a COCO instances JSON; see `read_annotations`."""
    parser = _Parser(source)
    try:
        text = content.decode("utf-8")
        del content
        whole = json.loads(text, object_pairs_hook=parser.reduce)
        del text
    except KeyTwiceError as error:
        raise UserError(f"{source}: {error}; get the annotations archive again.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: not JSON ({error}); get the annotations archive again.") from error
    if not isinstance(whole, dict):
        raise UserError(f"{source}: not a COCO instances file; use instances_*.json.")
    for key in ("images", "annotations", "categories"):
        if not isinstance(whole.get(key), list):
            raise UserError(f"{source}: key '{key}' is missing or no list; use COCO's instances_*.json.")
    _check_categories(whole["categories"], source)
    pictures = _checked_pictures(whole["images"], source)
    regions = _grouped_regions(whole["annotations"], pictures, source)
    return Annotations(source, pictures, regions, parser.degenerate_polygons)


def _wrong(where: str, what: str) -> UserError:
    return UserError(f"{where}: {what}; use COCO's own JSON.")


class _Parser:
    """The JSON's hook for objects: reduces pictures and annotations as soon as each is parsed."""

    def __init__(self, source: str):
        self.source = source
        self.degenerate_polygons = 0

    def reduce(self, pairs: list[tuple[str, Any]]) -> Any:
        entry = unique_keys(pairs)
        if "segmentation" in entry or "image_id" in entry:
            return self._annotation(entry)
        if "file_name" in entry:
            return self._picture(entry)
        return entry

    def _picture(self, entry: dict[str, Any]) -> Picture:
        where = f"{self.source}: picture {entry.get('id', entry['file_name'])!r}"
        number, width, height = (self._whole(entry, key, where) for key in ("id", "width", "height"))
        file_name = entry["file_name"]
        if not isinstance(file_name, str) or not re.fullmatch(rf"{ID_PATTERN}\.jpg", file_name):
            raise _wrong(where, f"file_name {file_name!r} is not the name of a .jpg")
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise _wrong(where, f"a size of {width} x {height} is impossible")
        return Picture(number, file_name, width, height)

    def _annotation(self, entry: dict[str, Any]) -> tuple[int, Region]:
        where = f"{self.source}: annotation {entry.get('id', '(without id)')}"
        number, picture, category, crowd = (
            self._whole(entry, key, where) for key in ("id", "image_id", "category_id", "iscrowd")
        )
        if category not in COCO_CATEGORIES:
            raise UserError(
                f"{where}: category_id {category} is none of COCO's 80 object categories; "
                "use instances_*.json (stuff and panoptic annotations label other things)."
            )
        if crowd not in (0, 1):
            raise _wrong(where, f"iscrowd is {crowd}, which must be 0 or 1")
        try:
            polygons, run_lengths, size = self._segmentation(entry["segmentation"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = "it is missing" if "segmentation" not in entry else str(error)
            raise _wrong(where, f"key 'segmentation' is neither polygons nor an RLE ({reason})") from error
        return picture, Region(number, category, bool(crowd), polygons, run_lengths, size)

    def _segmentation(self, value: Any) -> tuple[tuple[array, ...], array | None, tuple[int, int] | None]:
        if isinstance(value, dict):
            counts = value["counts"]
            runs = _uncompressed(counts) if isinstance(counts, str) else counts
            height, width = value["size"]
            return (), array("I", runs), (height, width)
        if not isinstance(value, list):
            raise TypeError(f"it is {value!r}")
        polygons = tuple(array("d", polygon) for polygon in value)
        whole = tuple(polygon for polygon in polygons if len(polygon) >= MIN_POLYGON_NUMBERS)
        self.degenerate_polygons += max(1, len(polygons)) - len(whole)  # an empty list covers nothing either
        if any(len(polygon) % 2 for polygon in whole):
            raise ValueError("a polygon has an odd number of coordinates")
        return whole, None, None

    @staticmethod
    def _whole(entry: dict[str, Any], key: str, where: str) -> int:
        if type(entry.get(key)) is not int:
            reason = f"is {entry[key]!r}, not a whole number" if key in entry else "is missing"
            raise _wrong(where, f"key '{key}' {reason}")
        return entry[key]


def _uncompressed(counts: str) -> list[int]:
    """Return the run lengths of a compressed RLE.

    Numbers are written in groups of 5 bits, lowest first, each as a character from 48 on; bit 5 says that more
    follow and bit 4 of the last is the sign. From the fourth number on, what is written is the difference to
    the number two before (COCO API, ``maskApi.c``, ``rleToString``).
    """
    runs: list[int] = []
    number = shift = 0
    for character in counts:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > MAX_SHIFT:
            raise ValueError(f"character {character!r} is none of a compressed RLE")
        number |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError("the compressed RLE ends within a number")
    return runs


def _check_categories(categories: list[Any], source: str) -> None:
    for entry in categories:
        if not isinstance(entry, dict) or not entry.keys() >= {"id", "name"}:
            raise _wrong(source, "a category lacks its 'id' or 'name'")
        number, name = entry["id"], entry["name"]
        known = COCO_CATEGORIES.get(number) if type(number) is int else None
        if known is None or known != name:
            raise _wrong(source, f"category {number!r} is called {name!r}, where COCO has {known!r}")


def _id_of(entry: Any) -> Any:
    return entry.get("id") if isinstance(entry, dict) else entry


def _checked_pictures(entries: list[Any], source: str) -> list[Picture]:
    for entry in entries:
        if not isinstance(entry, Picture):
            raise _wrong(source, f"picture {_id_of(entry)!r}: key 'file_name' is missing")
    pictures = sorted(entries)
    if not pictures:
        raise _wrong(source, "lists no pictures")
    for what in ("id", "file_name"):
        values = sorted(getattr(picture, what) for picture in pictures)
        for before, value in pairwise(values):
            if before == value:
                raise _wrong(source, f"picture {what} {value} is listed twice")
    return pictures


def _grouped_regions(entries: list[Any], pictures: list[Picture], source: str) -> dict[int, list[Region]]:
    known = {picture.id for picture in pictures}
    seen: set[int] = set()
    grouped: dict[int, list[Region]] = {}
    for entry in entries:
        if not isinstance(entry, tuple) or isinstance(entry, Picture):
            raise _wrong(source, f"annotation {_id_of(entry)!r}: key 'image_id' is missing")
        picture, region = entry
        if region.id in seen:
            raise _wrong(source, f"annotation {region.id} is listed twice")
        seen.add(region.id)
        if picture not in known:
            raise _wrong(source, f"annotation {region.id}: picture {picture} is not listed in 'images'")
        grouped.setdefault(picture, []).append(region)
    return grouped
