"""VOC 2012: from the archive to a dataset folder.

Archive: ``VOCdevkit/VOC2012/`` with ``JPEGImages``, ``SegmentationClass`` and ``SegmentationObject`` (palette PNGs:
the index is the value), ``Annotations`` (XML) and ``ImageSets/Segmentation`` (id lists).

Dataset folder (of the test archive only ``images``, ``lists`` and ``summary.json``):

- ``images/<id>.jpg`` as published
- ``masks/<id>.png`` labels 0..20, 255 void
- ``instances/<id>.png`` 0 background, 1..n objects, 255 void
- ``lists/{train,val,trainval}.txt`` or ``lists/test.txt``; ``summary.json``
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.data.archives import iter_files
from segrepro.data.conversion import (
    MIN_AGREEMENT,
    PictureFiles,
    agreement,
    object_pixels,
    refuse_disagreement,
    unpack,
    unpacking,
    write_summary,
)
from segrepro.data.id_lists import parse_id_list
from segrepro.data.masks import VOC_MASK_VALUES, check_values, read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.labels import BACKGROUND, VOC_CLASSES, VOID

ROOT = "VOCdevkit/VOC2012"
LISTS = ("train", "val", "trainval")
TEST_LISTS = ("test",)
# The archive's folders of a picture's files, and how each file ends.
PICTURES = "JPEGImages"
MASKS = "SegmentationClass"
INSTANCES = "SegmentationObject"
ANNOTATIONS = "Annotations"
SUFFIXES = {PICTURES: "jpg", MASKS: "png", INSTANCES: "png", ANNOTATIONS: "xml"}


@dataclass(frozen=True)
class _Finding:
    """How a picture's annotations agree; None where it has no XML."""

    id: str
    classes_named: bool | None
    objects_match: bool


def convert_voc(archive: Path, out: Path, *, threads: int = 1, test: bool = False) -> dict:
    """Convert the VOC 2012 archive to a dataset folder; ``out`` appears whole or not at all.

    The archive is ``VOCtrainval_11-May-2012.tar``, or with ``test`` ``VOC2012test.tar``, whose pictures have no masks.

    Returns:
        The summary (`write_summary`), with how many pictures' annotations were compared and disagree.

    Raises:
        UserError: a list, picture, mask or annotation is missing, damaged, or does not fit the others; it is named.
    """
    archive = Path(archive)
    lists = _read_lists(archive, TEST_LISTS if test else LISTS)
    ids = sorted(set().union(*lists.values()))
    kinds = {PICTURES: SUFFIXES[PICTURES]} if test else SUFFIXES
    with unpacking(out, ["images"] if test else ["images", "masks", "instances"], kinds) as (folder, unpacked):
        unpack(archive, ROOT, kinds, unpacked, label="VOC 2012: unpacking", ids=set(ids))
        tasks = (PictureFiles(picture, archive, ROOT, SUFFIXES, unpacked, folder) for picture in ids)
        convert = _take_picture if test else _convert_picture
        findings = map_in_processes(convert, tasks, threads=threads, label="VOC 2012", total=len(ids))
        compared = {} if test else _compared(archive, findings)
        return write_summary(folder, lists, {"pictures": len(ids)} | compared)


def _read_lists(archive: Path, names: tuple[str, ...]) -> dict[str, list[str]]:
    members = {f"{ROOT}/ImageSets/Segmentation/{name}.txt": name for name in names}
    lists = {
        members[member]: parse_id_list(content, name=f"{archive}: {member}")
        for member, content in iter_files(archive, members.__contains__)
    }
    for member, name in members.items():
        if name not in lists:
            raise UserError(
                f"{archive}: has no member {member}; use VOCtrainval_11-May-2012.tar (test: VOC2012test.tar)."
            )
    return lists


def _take_picture(files: PictureFiles) -> None:
    files.take_picture(PICTURES)


def _convert_picture(files: PictureFiles) -> _Finding:
    size = files.take_picture(PICTURES)
    mask, instances = (read_mask(files.path(kind), name=files.member(kind)) for kind in (MASKS, INSTANCES))
    present = check_values(mask, VOC_MASK_VALUES, name=files.member(MASKS))
    files.write_masks({"masks": (MASKS, mask), "instances": (INSTANCES, instances)}, size)
    shared = agreement(object_pixels(mask).astype(np.uint8), object_pixels(instances).astype(np.uint8))
    return _Finding(files.id, _classes_named(files, present), shared >= MIN_AGREEMENT)


def _classes_named(files: PictureFiles, present: np.ndarray) -> bool | None:
    """Return whether the XML names every class that is in the mask; None where there is no XML.

    The other direction is no fault: VOC also boxes objects that are too small or hidden to be in the mask.
    """
    path = files.unpacked / ANNOTATIONS / f"{files.id}.xml"
    if not path.exists():
        return None
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(f"{files.member(ANNOTATIONS)}: cannot be read ({error}); get the archive again.") from error
    named = {(name.text or "").strip() for name in root.findall("object/name")}
    return {VOC_CLASSES[label] for label in present if label not in (BACKGROUND, VOID)} <= named


def _compared(archive: Path, findings: list[_Finding]) -> dict[str, int]:
    with_xml = [finding for finding in findings if finding.classes_named is not None]
    unnamed = [finding.id for finding in with_xml if not finding.classes_named]
    unlike = [finding.id for finding in findings if not finding.objects_match]
    refuse_disagreement(archive, "masks hold a class that their annotation does not name", unnamed, len(with_xml))
    refuse_disagreement(archive, f"pictures' {MASKS} and {INSTANCES} do not match", unlike, len(findings))
    return {
        "annotations_compared": len(with_xml),
        "masks_with_unnamed_class": len(unnamed),
        "instances_unlike_mask": len(unlike),
    }
