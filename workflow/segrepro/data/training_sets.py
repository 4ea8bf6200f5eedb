"""Training sets of models of their own: boxes for DeconvNet, and pictures of chosen classes that come several times.

The lists of DeconvNet's authors are gone from the web; these are built from VOC's and SBD's instance masks as the paper
describes them (arXiv 1505.04366, sections 4.2 and 5.1). Stage 1: the tight box of each object x 1.2, only that object
labelled. Stage 2 (2.7 million examples): proposals that overlap a ground-truth box well x 1.2, all classes in them
labelled. In both, classes are balanced by repetition.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from segrepro.config.models import ObjectExamples, ProposalExamples, Repeat
from segrepro.data.boxes import Box, check_touches, enlarge, overlaps, tight_boxes
from segrepro.data.masks import VOC_MASK_VALUES, check_size, check_values, read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.files import write_rows
from segrepro.labels import BACKGROUND, VOC_CLASSES, VOID, LabelSpace
from segrepro.stores.manifests import Example, instances_beside, write_manifest
from segrepro.stores.proposals import ProposalReader

ABSENT, UNLABELLED, SMALL = "without a pixel", "background or void only", "too small"


@dataclass(frozen=True)
class PictureObject:
    """An object: its pixel value in the instance mask, its class (the most frequent label under it), its tight box."""

    number: int
    label: int
    box: Box


@dataclass(frozen=True)
class LeftOut:
    """An object that makes no example, and why: `ABSENT`, `UNLABELLED` or `SMALL`."""

    id: str
    number: int
    reason: str


@dataclass(frozen=True)
class PictureObjects:
    """What an instance mask of ``width`` x ``height`` pixels holds, by number."""

    width: int
    height: int
    objects: list[PictureObject]
    left_out: list[LeftOut]


def instance_mask_path(example: Example) -> Path:
    """Return a picture's instance mask: the manifest's, or that beside its mask (VOC, SBD); refuse to go without."""
    if example.instance_mask is not None:
        return example.instance_mask
    if example.mask is None:
        raise UserError(f"picture '{example.id}' has no mask; take a dataset with ground truth.")
    path = instances_beside(example.mask)
    if not path.exists():
        raise UserError(
            f"{path}: picture '{example.id}' has no instance mask; take a manifest of VOC or SBD, as converted."
        )
    return path


def picture_objects(example: Example, *, min_area: int = 1) -> PictureObjects:
    """Return the objects of a picture, by its mask and instance mask; those of less than ``min_area`` are left out.

    Masks that are missing or damaged, differ in size or hold other labels than VOC's are refused.
    """
    instance_path = instance_mask_path(example)
    mask, instances = read_mask(example.mask), read_mask(instance_path)
    height, width = mask.shape
    check_size(instances, width, height, name=str(instance_path))
    check_values(mask, VOC_MASK_VALUES, name=str(example.mask))
    boxes, objects, left_out = tight_boxes(instances), [], []
    # Instance masks number from 1: a value that is skipped is an object that other annotations have covered wholly.
    for number in range(1, max(boxes, default=0) + 1):
        counts = np.bincount(mask[instances == number], minlength=VOID + 1)
        label = int(counts[:VOID].argmax())
        area = counts.sum()
        reason = ABSENT if area == 0 else UNLABELLED if label == BACKGROUND else SMALL if area < min_area else None
        if reason:
            left_out.append(LeftOut(example.id, number, reason))
        else:
            objects.append(PictureObject(number, label, boxes[number]))
    return PictureObjects(width, height, objects, left_out)


def object_examples(
    examples: list[Example], rules: ObjectExamples, *, threads: int = 1
) -> tuple[list[Example], list[int], list[LeftOut]]:
    """Build the stage-1 examples of a dataset of whole pictures: one row per object, not yet balanced.

    Returns the examples (box enlarged, may leave the picture; instance mask and number set), the class of each, 1..20,
    and the objects that were left out.

    Raises:
        UserError: as `picture_objects`; a picture comes with a box or repeats, or there is no object at all.
    """
    _check_whole_pictures(examples)
    objects = partial(picture_objects, min_area=rules.min_area)
    found = map_in_processes(objects, examples, threads=threads, label="objects", total=len(examples))
    rows, labels = [], []
    for example, picture in zip(examples, found, strict=True):
        instance_mask = instance_mask_path(example)
        for item in picture.objects:
            box = tuple(enlarge(item.box, rules.enlarge).tolist())
            check_touches(box, picture.width, picture.height, name=str(example.image))
            rows.append(Example(example.id, example.image, example.mask, box, instance_mask, item.number))
            labels.append(item.label)
    if not rows:
        raise UserError(
            f"none of the {len(examples)} pictures has an object of {rules.min_area} pixels or more; take another "
            "manifest, or lower --min-area."
        )
    return rows, labels, [entry for picture in found for entry in picture.left_out]


def proposal_examples(
    examples: list[Example], proposals: ProposalReader, rules: ProposalExamples, *, threads: int = 1
) -> tuple[list[Example], list[int], list[str]]:
    """Build the stage-2 examples of a dataset of whole pictures: one row per proposal, not yet balanced.

    Returns the examples (box enlarged, may leave the picture; no instance), the class of each, 1..20 (that of the
    object it overlaps most), and the ids of the pictures without a fitting proposal.

    Raises:
        UserError: as `object_examples`; or a picture is not among the proposals.
    """
    _check_whole_pictures(examples)
    tasks = ((example, proposals.boxes(example.id)) for example in examples)
    chosen = partial(_chosen_boxes, rules=rules)
    found = map_in_processes(chosen, tasks, threads=threads, label="proposals", total=len(examples))
    rows, labels = [], []
    for example, (boxes, _) in zip(examples, found, strict=True):
        rows += [Example(example.id, example.image, example.mask, box) for box in boxes]
        labels += boxes.values()
    if not rows:
        raise UserError(
            f"none of the {len(examples)} pictures has a proposal that overlaps an object by {rules.min_overlap} or "
            "more; find more proposals, or lower --min-overlap."
        )
    return rows, labels, [example.id for example, (_, fitting) in zip(examples, found, strict=True) if not fitting]


def _chosen_boxes(task: tuple[Example, np.ndarray], *, rules: ProposalExamples) -> tuple[dict[Box, int], int]:
    """Return a picture's boxes with the class of each (two that become one when enlarged are one), and how many fit."""
    example, proposals = task
    picture = picture_objects(example, min_area=rules.min_area)
    fitting, labels = fitting_proposals(proposals, picture.objects, rules)
    own = picture.objects if rules.add_ground_truth else []
    boxes = np.concatenate([np.array([item.box for item in own], np.int64).reshape(-1, 4), fitting])
    labels = [item.label for item in own] + labels
    chosen: dict[Box, int] = {}
    for box, label in zip(map(tuple, enlarge(boxes, rules.enlarge).tolist()), labels, strict=True):
        check_touches(box, picture.width, picture.height, name=str(example.image))
        chosen.setdefault(box, label)
    return chosen, len(fitting)


def fitting_proposals(
    proposals: np.ndarray, objects: list[PictureObject], rules: ProposalExamples
) -> tuple[np.ndarray, list[int]]:
    """Choose the proposals (n, 4) of a picture that overlap an object enough, in rank order.

    Returns the boxes as they were, int64 (m, 4), and the class of the object that each overlaps most (of equal ones,
    the first).
    """
    proposals = np.asarray(proposals, np.int64).reshape(-1, 4)
    if not objects or not len(proposals):
        return proposals[:0], []
    overlap = overlaps(proposals, np.array([item.box for item in objects]))
    fitting = np.flatnonzero(overlap.max(axis=1) >= rules.min_overlap)[: rules.max_per_picture]
    return proposals[fitting], [objects[best].label for best in overlap[fitting].argmax(axis=1)]


def _check_whole_pictures(examples: list[Example]) -> None:
    """Refuse a manifest that is not of whole pictures, each once."""
    for example in examples:
        if example.box is not None or example.repeats != 1:
            what = "comes with a box" if example.box is not None else f"is repeated {example.repeats} times"
            raise UserError(
                f"picture '{example.id}' {what}; give a manifest of whole pictures, as `segrepro manifest` writes it."
            )


def balanced_repeats(labels: Iterable[int], *, max_repeats: int | None = None) -> dict[int, int]:
    """Return how often the examples of each class come in an epoch (at most ``max_repeats``) to balance the classes.

    A class comes round(largest class / class) times, at least once: the paper speaks of "redundant examples for the
    classes with limited number of examples". The released lists come to 0.2 million stage-1 rows; twenty classes,
    each repeated up to the persons of the augmented VOC set, come to that order.
    """
    counts = Counter(labels)
    largest = max(counts.values(), default=0)
    wanted = {label: max(1, round(largest / count)) for label, count in sorted(counts.items())}
    return {label: min(times, max_repeats or times) for label, times in wanted.items()}


def write_balanced(
    out: Path,
    counts: Path,
    rows: list[Example],
    labels: list[int],
    *,
    unit: str,
    rules: ObjectExamples | ProposalExamples,
) -> None:
    """Balance examples by repetition, then write their manifest and the table of how many each class has.

    The table is CSV, one row per VOC class in label order, then the total: ``class``, ``unit`` (how many there are),
    ``repeats`` (how often each comes in an epoch; empty in the total and for a class that does not occur), ``examples``
    (an epoch's: the product of the two).

    ``rows`` are the examples, ``labels`` the class of each, 1..20, and ``unit`` is what they are: ``objects`` or
    ``proposals``.
    """
    repeats = balanced_repeats(labels, max_repeats=rules.max_repeats if rules.balance else 1)
    write_manifest(out, [replace(row, repeats=repeats[label]) for row, label in zip(rows, labels, strict=True)])
    found = Counter(labels)
    table = [
        (name, found[label], repeats.get(label, ""), found[label] * repeats.get(label, 0))
        for label, name in enumerate(VOC_CLASSES)
        if label != BACKGROUND
    ]
    total = ("total", found.total(), "", sum(row[3] for row in table))
    write_rows(counts, ("class", unit, "repeats", "examples"), [*table, total])


def left_out_sentence(left_out: list[LeftOut], objects: int) -> str:
    """Say how many objects make no example beside those that do, why, and which is the first."""
    reasons = Counter(entry.reason for entry in left_out)
    first = left_out[0]
    counted = ", ".join(f"{reasons[reason]} {reason}" for reason in (ABSENT, UNLABELLED, SMALL) if reasons[reason])
    return (
        f"{len(left_out)} of {objects + len(left_out)} objects are left out ({counted}); the first is object "
        f"{first.number} of picture '{first.id}', {first.reason}."
    )


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
