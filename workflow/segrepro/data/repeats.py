"""Training sets in which the pictures of chosen classes come several times."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from segrepro.config.models import Repeat
from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.files import write_rows
from segrepro.labels import LabelSpace
from segrepro.stores.manifests import Example, write_manifest


def repeat_classes(
    examples: list[Example], space: LabelSpace, rules: Repeat, *, threads: int
) -> tuple[list[Example], list[list[int]]]:
    """Let the pictures that hold one of some classes come several times in an epoch.

    DeepLabv3's paper (section 4.2) does so with bicycle, chair, table, pottedplant and sofa for its test model;
    report 2 leaves bicycle, chair, pottedplant and sofa as its to-do list.

    Returns the examples, with ``repeats`` set, and the labels that each one's mask holds. A class that is unknown or
    occurs in no picture is refused.
    """
    unknown = [name for name in rules.classes if name not in space.classes]
    if unknown:
        raise UserError(f"class '{unknown[0]}' is not in {space.name}; its classes are in segrepro/labels.py.")
    wanted = {space.classes.index(name) for name in rules.classes}
    found = map_in_processes(
        _labels_in, [e.mask for e in examples], threads=threads, label="classes of the masks", total=len(examples)
    )
    absent = wanted - {label for labels in found for label in labels}
    if absent:
        raise UserError(f"class '{space.classes[min(absent)]}' occurs in no picture; it cannot be repeated.")
    repeated = [
        replace(e, repeats=rules.times) if wanted & set(labels) else e
        for e, labels in zip(examples, found, strict=True)
    ]
    return repeated, found


def _labels_in(path: Path) -> list[int]:
    return np.unique(read_mask(path)).tolist()


def write_repeats(out: Path, counts: Path, examples: list[Example], labels: list[list[int]], space: LabelSpace) -> None:
    """Write the manifest of a training set with repeats, and the pictures of each class in it.

    The table is CSV: ``class``, ``pictures`` (that hold it), ``examples`` (how often such a picture comes in an epoch),
    a row per class in label order, background too, and the total of all pictures.
    """
    pictures = Counter(label for held in labels for label in held)
    epoch = Counter()
    for example, held in zip(examples, labels, strict=True):
        epoch.update(dict.fromkeys(held, example.repeats))
    rows = [(name, pictures[label], epoch[label]) for label, name in enumerate(space.classes) if name]
    rows.append(("total", len(examples), sum(example.repeats for example in examples)))
    write_manifest(out, examples)
    write_rows(counts, ("class", "pictures", "examples"), rows)
