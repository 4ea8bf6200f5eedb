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
from dataclasses import replace
from pathlib import Path

import numpy as np

from segrepro.data.conversion import (
    MIN_AGREEMENT,
    Layout,
    PictureFiles,
    agreement,
    convert_archive,
    object_pixels,
    refuse_disagreement,
)
from segrepro.data.masks import VOC_MASK_VALUES, check_values, read_mask
from segrepro.errors import UserError
from segrepro.labels import BACKGROUND, VOC_CLASSES, VOID

PICTURES = "JPEGImages"
MASKS = "SegmentationClass"
INSTANCES = "SegmentationObject"
ANNOTATIONS = "Annotations"
TRAINVAL = Layout(
    name="VOC 2012",
    root="VOCdevkit/VOC2012",
    lists=tuple(f"ImageSets/Segmentation/{name}" for name in ("train", "val", "trainval")),
    suffixes={PICTURES: "jpg", MASKS: "png", INSTANCES: "png", ANNOTATIONS: "xml"},
    official="VOCtrainval_11-May-2012.tar (test: VOC2012test.tar)",
)
TEST = replace(TRAINVAL, lists=("ImageSets/Segmentation/test",), suffixes={PICTURES: "jpg"})


def convert_voc(archive: Path, out: Path, *, threads: int = 1, test: bool = False) -> dict:
    """Convert the VOC 2012 archive to a dataset folder; ``out`` appears whole or not at all.

    The archive is ``VOCtrainval_11-May-2012.tar``, or with ``test`` ``VOC2012test.tar``, whose pictures have no masks.

    Returns the summary (`write_summary`), with how many pictures' annotations were compared and disagree. A list,
    picture, mask or annotation that is missing, damaged, or does not fit the others is named and refused.
    """
    if test:
        return convert_archive(archive, out, TEST, _take_picture, lambda ids, findings: {}, threads=threads)

    def compared(ids: list[str], findings: list[tuple[bool | None, bool]]) -> dict[str, int]:
        with_xml = {id: named for id, (named, _) in zip(ids, findings, strict=True) if named is not None}
        unnamed = [id for id, named in with_xml.items() if not named]
        unlike = [id for id, (_, match) in zip(ids, findings, strict=True) if not match]
        refuse_disagreement(archive, "masks hold a class that their annotation does not name", unnamed, len(with_xml))
        refuse_disagreement(archive, f"pictures' {MASKS} and {INSTANCES} do not match", unlike, len(ids))
        counts = {"annotations_compared": len(with_xml), "masks_with_unnamed_class": len(unnamed)}
        return counts | {"instances_unlike_mask": len(unlike)}

    return convert_archive(archive, out, TRAINVAL, _convert_picture, compared, threads=threads)


def _take_picture(files: PictureFiles) -> None:
    files.take_picture(PICTURES)


def _convert_picture(files: PictureFiles) -> tuple[bool | None, bool]:
    """Return how the annotations agree: `_classes_named`, and whether the two masks show the same objects."""
    size = files.take_picture(PICTURES)
    mask, instances = (read_mask(files.path(kind), name=files.member(kind)) for kind in (MASKS, INSTANCES))
    present = check_values(mask, VOC_MASK_VALUES, name=files.member(MASKS))
    files.write_masks({"masks": (MASKS, mask), "instances": (INSTANCES, instances)}, size)
    shared = agreement(object_pixels(mask).astype(np.uint8), object_pixels(instances).astype(np.uint8))
    return _classes_named(files, present), shared >= MIN_AGREEMENT


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
