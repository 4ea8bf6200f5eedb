"""Training sets in which the pictures of chosen classes come several times."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.labels import LabelSpace
from segrepro.stores.manifests import Example


def labels_in(path: Path) -> list[int]:
    """Return the pixel values that occur in a mask, sorted."""
    return np.unique(read_mask(path)).tolist()


def repeat_classes(
    examples: list[Example], space: LabelSpace, *, classes: list[str], times: int, threads: int
) -> list[Example]:
    """Let the pictures that hold one of some classes come several times in an epoch.

    DeepLabv3's paper (section 4.2) does so with bicycle, chair, table, pottedplant and sofa for its test model;
    report 2 leaves bicycle, chair, pottedplant and sofa as its to-do list.

    Args:
        examples: a manifest's rows.
        space: the label space of their masks.
        classes: names of the classes.
        times: how often such a picture comes in an epoch, 2 or more.
        threads: number of processes that read masks.

    Returns:
        The examples, with ``repeats`` set.

    Raises:
        UserError: a class is unknown, or occurs in no picture.
    """
    unknown = [name for name in classes if name not in space.classes]
    if unknown:
        raise UserError(f"class '{unknown[0]}' is not in {space.name}; its classes are in segrepro/labels.py.")
    wanted = {space.classes.index(name) for name in classes}
    found = map_in_processes(
        labels_in, [e.mask for e in examples], threads=threads, label="classes of the masks", total=len(examples)
    )
    absent = wanted - {label for labels in found for label in labels}
    if absent:
        raise UserError(f"class '{space.classes[min(absent)]}' occurs in no picture; it cannot be repeated.")
    return [replace(e, repeats=times) if wanted & set(labels) else e for e, labels in zip(examples, found, strict=True)]
