"""SBD (Semantic Boundaries Dataset, Hariharan et al. 2011): from the archive to a dataset folder.

Archive: ``benchmark_RELEASE/dataset/`` with ``img/<id>.jpg``, ``cls/<id>.mat``, ``inst/<id>.mat``, ``train.txt`` and
``val.txt``. ``GTcls.Segmentation`` holds labels 0..20, ``GTinst.Segmentation`` objects 1..n with their labels
in ``GTinst.Categories``. SBD draws no void border.

Dataset folder: ``images/<id>.jpg`` as published, ``masks/<id>.png`` (labels 0..20), ``instances/<id>.png`` (0
background, 1..n objects), ``lists/{train,val}.txt``, ``summary.json``.
"""

from pathlib import Path

import numpy as np

from segrepro.data.conversion import (
    MIN_AGREEMENT,
    Layout,
    PictureFiles,
    agreement,
    convert_archive,
    refuse_disagreement,
)
from segrepro.data.masks import SBD_MASK_VALUES, check_values
from segrepro.data.matlab import read_struct_fields
from segrepro.errors import UserError
from segrepro.labels import VOC21, VOID

PICTURES = "img"
CLASSES = "cls"
INSTANCES = "inst"
LAYOUT = Layout(
    name="SBD",
    root="benchmark_RELEASE/dataset",
    lists=("train", "val"),
    suffixes={PICTURES: "jpg", CLASSES: "mat", INSTANCES: "mat"},
    official="SBD's benchmark.tgz",
)


def convert_sbd(archive: Path, out: Path, *, threads: int = 1) -> dict:
    """Convert SBD's ``benchmark.tgz`` to a dataset folder; ``out`` appears whole or not at all.

    Returns the summary (`write_summary`), with how many pictures' objects do not have the categories of the class mask.
    A list, picture or ``.mat`` that is missing, damaged, or of another structure is named and refused.
    """

    def compared(ids: list[str], agreements: list[float]) -> dict[str, int]:
        unlike = [id for id, shared in zip(ids, agreements, strict=True) if shared < MIN_AGREEMENT]
        refuse_disagreement(archive, "pictures' objects disagree with their class masks", unlike, len(ids))
        return {"instances_unlike_mask": len(unlike)}

    return convert_archive(archive, out, LAYOUT, _convert_picture, compared, threads=threads)


def _convert_picture(files: PictureFiles) -> float:
    """Write one picture's files; return how far its objects' categories agree with its class mask."""
    size = files.take_picture(PICTURES)
    mask = read_class_mask(files.path(CLASSES).read_bytes(), name=files.member(CLASSES))
    instances, categories = read_instances(files.path(INSTANCES).read_bytes(), name=files.member(INSTANCES))
    files.write_masks({"masks": (CLASSES, mask), "instances": (INSTANCES, instances)}, size)
    return agreement(mask, np.array([0, *categories], np.uint8)[instances])


def read_class_mask(content: bytes, *, name: str) -> np.ndarray:
    """Return the class mask of a ``cls/<id>.mat``, uint8 of shape (height, width), labels 0..20; refuse other files."""
    (segmentation,) = _read_struct(content, "GTcls", ("Segmentation",), name=name)
    mask = _as_mask(segmentation, name=name)
    check_values(mask, SBD_MASK_VALUES, name=name)
    return mask


def read_instances(content: bytes, *, name: str) -> tuple[np.ndarray, list[int]]:
    """Return the instance mask of an ``inst/<id>.mat``, and the labels (1..20) of its n objects; refuse other files.

    The mask is uint8 of shape (height, width), 0 background and 1..n the objects.
    """
    segmentation, categories = _read_struct(content, "GTinst", ("Segmentation", "Categories"), name=name)
    instances = _as_mask(segmentation, name=name)
    labels = [] if categories.size == 0 else _as_mask(categories.reshape(1, -1), name=name).ravel().tolist()
    for label in labels:
        if not 0 < label < len(VOC21):
            raise UserError(f"{name}: category {label} is no class (1..{len(VOC21) - 1}); use SBD's benchmark.tgz.")
    if instances.max(initial=0) > len(labels) or len(labels) >= VOID:
        raise UserError(
            f"{name}: object {instances.max(initial=0)} occurs, but Categories has {len(labels)} entries "
            f"(at most {VOID - 1} are possible); use SBD's benchmark.tgz."
        )
    return instances, labels


def _read_struct(content: bytes, variable: str, fields: tuple[str, ...], *, name: str) -> list[np.ndarray]:
    try:
        return read_struct_fields(content, variable, fields)
    except ValueError as error:
        raise UserError(
            f"{name}: is no SBD file with {variable} and its {' and '.join(fields)} ({error}); use SBD's benchmark.tgz."
        ) from error


def _as_mask(values: np.ndarray, *, name: str) -> np.ndarray:
    """MATLAB may store whole numbers as doubles: take them, and nothing else, as uint8."""
    if values.ndim != 2 or values.size == 0:
        raise UserError(f"{name}: Segmentation or Categories has no rows and columns; use SBD's benchmark.tgz.")
    with np.errstate(invalid="ignore"):
        narrow = values.astype(np.uint8)
    if not np.array_equal(narrow, values):
        raise UserError(f"{name}: a value is no whole number in 0..255; use SBD's benchmark.tgz.")
    return narrow
