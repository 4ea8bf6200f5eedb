"""COCO 2017: from the archives to a dataset folder with two kinds of masks.

COCO-90 (``masks_coco90``): the label is the category id 1..90, everything else background.
COCO-20 (``masks_coco20``): VOC's 20 classes are 1..20 in VOC's order, everything else is background.

Which pixels are void (255), in both: those of a crowd (``iscrowd``), and those that objects of two different
labels claim, since COCO does not say which is in front. Objects of one label may overlap: there is nothing to
doubt. For COCO-20 only the wanted categories count: a crowd of another category is background, and where an
object of another category overlaps a wanted one, the pixel keeps the wanted label ("everything else background;
overlapping instances and crowds void" is read as instances and crowds of the 20 wanted categories).

Dataset folder:

- ``images/<id>.jpg`` as published. One of train2017 (000000320612.jpg) is a PNG in truth: PNGs are accepted, counted,
  and read as RGB wherever pictures are read
- ``masks_coco90/<id>.png``, and ``masks_coco20/<id>.png`` for the pictures of ``lists/coco20.txt``
- ``lists/coco90.txt`` all pictures; ``lists/coco20.txt`` those with more than ``min_pixels`` pixels of labels 1..20
- ``pictures.csv`` (``id,width,height,coco20_pixels,coco90_pixels,annotations,format``) and
  ``summary.json``
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from pycocotools import mask as rle_tools

from segrepro.data.archives import open_zip, read_member
from segrepro.data.coco_annotations import Annotations, Picture, Region, read_annotations
from segrepro.data.conversion import check_picture, object_pixels, write_summary
from segrepro.data.masks import write_mask
from segrepro.data.parallel import map_in_processes
from segrepro.data.pictures import PICTURE_MODES
from segrepro.errors import UserError
from segrepro.files import atomic_directory, write_rows
from segrepro.labels import BACKGROUND, COCO91, VOID


@dataclass(frozen=True)
class PictureRow:
    """One row of ``pictures.csv``; pixels are those of objects, void left out; the format is JPEG or PNG."""

    id: str
    width: int
    height: int
    coco20_pixels: int
    coco90_pixels: int
    annotations: int
    format: str


def convert_coco(
    pictures: Path, annotations: Path, out: Path, *, split: str, threads: int = 1, min_pixels: int
) -> dict:
    """Convert one split of COCO 2017 to a dataset folder; ``out`` appears whole or not at all.

    The parent reads the archives and hands pictures to the processes a few at a time, so memory does not
    grow with the number of pictures, but for their annotations: see ``benchmarks/coco_conversion.py``.

    ``split`` is ``train2017`` or ``val2017``, ``pictures`` its zip, ``annotations`` ``annotations_trainval2017.zip``.
    Pictures with more than ``min_pixels`` pixels of labels 1..20 are in ``lists/coco20.txt``.

    Returns the summary (`segrepro.data.conversion.write_summary`). An archive, JSON, picture or region that cannot be
    used is refused, by file and id.
    """
    known = read_annotations(annotations, split)
    with open_zip(pictures) as opened, atomic_directory(out) as folder:
        for name in ("images", "masks_coco20", "masks_coco90"):
            (folder / name).mkdir()
        count, regions = len(known.pictures), sum(map(len, known.regions.values()))
        convert = partial(_convert_picture, source=known.source, folder=folder, min_pixels=min_pixels)
        tasks = _tasks(opened, known, split)
        rows = map_in_processes(convert, tasks, threads=threads, label=f"COCO {split}", total=count)
        rows.sort(key=lambda row: row.id)
        coco20 = [row.id for row in rows if row.coco20_pixels > min_pixels]
        lists = {"coco20": coco20, "coco90": [row.id for row in rows]}
        pngs = sum(row.format == "PNG" for row in rows)
        counts = {"pictures": count, "annotations": regions, "png_pictures": pngs, "min_pixels": min_pixels}
        counts |= {"degenerate_polygons_skipped": known.degenerate_polygons}
        write_rows(folder / "pictures.csv", [column.name for column in fields(PictureRow)], map(astuple, rows))
        return write_summary(folder, lists, counts)


def _tasks(opened: ZipFile, known: Annotations, split: str) -> Iterator[tuple[Picture, list[Region], str, bytes]]:
    """Give pictures with regions, name and bytes in the archive's order: 18 GB are not read at random."""
    offsets = {info.filename: info.header_offset for info in opened.infolist()}
    for picture in known.pictures:
        if f"{split}/{picture.file_name}" not in offsets:
            raise UserError(
                f"{opened.filename}: picture {picture.id} has no member {split}/{picture.file_name}; "
                f"use {split}.zip, or get it again."
            )
    for picture in sorted(known.pictures, key=lambda picture: offsets[f"{split}/{picture.file_name}"]):
        member = f"{split}/{picture.file_name}"
        content = read_member(opened, member)
        yield picture, known.regions.pop(picture.id, []), f"{opened.filename}: {member}", content


def _convert_picture(
    task: tuple[Picture, list[Region], str, bytes], *, source: str, folder: Path, min_pixels: int
) -> PictureRow:
    picture, regions, member, content = task
    size, kind = check_picture(content, name=member, modes=PICTURE_MODES)
    if size != (picture.width, picture.height):
        raise UserError(
            f"{member}: the picture is {size[0]} x {size[1]} pixels, but picture {picture.id} of "
            f"{source} is {picture.width} x {picture.height}; use archives that belong together."
        )
    coco90, coco20 = draw_masks(regions, picture, source=source)
    pixels90, pixels20 = (int(np.count_nonzero(object_pixels(mask))) for mask in (coco90, coco20))
    name = Path(picture.file_name)
    (folder / "images" / name).write_bytes(content)
    write_mask(folder / "masks_coco90" / name.with_suffix(".png"), coco90)
    if pixels20 > min_pixels:
        write_mask(folder / "masks_coco20" / name.with_suffix(".png"), coco20)
    kind = "PNG" if kind == "PNG" else "JPEG"  # an MPO is a JPEG too
    return PictureRow(name.stem, *size, pixels20, pixels90, len(regions), kind)


def draw_masks(regions: list[Region], picture: Picture, *, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture's regions as COCO-90 and COCO-20 masks, by the rules at the head of this module.

    Returns two arrays, uint8 of shape (height, width): labels 0..90 and 0..20, both with 255 void. A region that does
    not fit the picture is refused; ``source`` is what the message calls the JSON.
    """
    objects: dict[int, list[dict]] = {}
    crowds: dict[int, list[dict]] = {}
    for region in regions:
        where = f"{source}: annotation {region.id} of picture {picture.id}"
        group = crowds if region.crowd else objects
        group.setdefault(region.category, []).extend(_encoded(region, picture, where=where))
    shape = (picture.height, picture.width)
    coco90, coco20 = (np.zeros(shape, np.uint8, order="F") for _ in range(2))  # RLEs run down the columns
    for category in sorted(objects):
        covered = _union(objects[category], shape)
        _claim(coco90, covered, category)
        if voc_label := int(COCO91.to_voc21[category]):
            _claim(coco20, covered, voc_label)
    for category, encoded in crowds.items():
        covered = _union(encoded, shape)
        coco90[covered] = VOID
        if COCO91.to_voc21[category] != BACKGROUND:
            coco20[covered] = VOID
    return coco90, coco20


def _claim(mask: np.ndarray, covered: np.ndarray, label: int) -> None:
    """Give ``covered`` pixels their label, or void where another label has them already."""
    mask[covered] = np.where(mask[covered] == BACKGROUND, np.uint8(label), np.uint8(VOID))


def _union(encoded: list[dict], shape: tuple[int, int]) -> np.ndarray:
    if not encoded:  # nothing but degenerate polygons
        return np.zeros(shape, bool, order="F")
    return rle_tools.decode(rle_tools.merge(encoded)).view(bool)


def _encoded(region: Region, picture: Picture, *, where: str) -> list[dict]:
    """Return the region as RLEs of the picture's size, as pycocotools wants them."""
    width, height = picture.width, picture.height
    if region.run_lengths is None:
        polygons = [np.frombuffer(polygon) for polygon in region.polygons]
        limits = np.array([width, height], float)
        for polygon in polygons:
            # pycocotools walks along the edges: coordinates far outside would take forever, NaN crash it
            corners = polygon.reshape(-1, 2)
            if not np.all((corners >= -limits) & (corners <= 2 * limits)):
                raise UserError(f"{where}: a polygon is far outside the picture; use COCO's own JSON.")
        return rle_tools.frPyObjects([p.tolist() for p in polygons], height, width) if polygons else []
    if region.size != (height, width) or sum(region.run_lengths) != height * width:
        raise UserError(
            f"{where}: the RLE is for {region.size} with {sum(region.run_lengths)} pixels, the picture is "
            f"{(height, width)} (height, width) with {height * width}; use COCO's own JSON."
        )
    uncompressed = {"counts": region.run_lengths.tolist(), "size": [height, width]}
    return [rle_tools.frPyObjects(uncompressed, height, width)]
