"""Label checks: does a manifest's label set make sense, before anything trains on it?

The accidents that they are made for (all of them happened to the reports' author, or nearly): COCO's stuff
labels used as things, so that all was background and mIoU 1.0; labels shifted by one, so that background became
void and class 20 never occurred; void trained as background. Each leaves a trace in the distribution of labels:

=====================================  ===================================================================
accident                               found by
=====================================  ===================================================================
-1, background wraps to 255            void share, background not the most frequent label, last class absent
+1                                     a value outside the label space, background not the most frequent
+1, circular                           background not the most frequent label
COCO stuff ids (92..182)               a value outside the label space
all background                         background share, pictures without an object, absent classes
void merged into background            too little void
palette colours, interpolated masks    a value outside the label space
masks of other pictures                size (where sizes differ)
=====================================  ===================================================================

A permutation of the object classes alone leaves no trace in a distribution; the VOC converter compares masks
with the annotations' class names for that.
"""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segrepro.data.label_statistics import LabelStatistics, measure
from segrepro.errors import UserError
from segrepro.files import ids_sha256
from segrepro.labels import BACKGROUND, VOID, LabelSpace
from segrepro.stores.manifests import Example, read_manifest


@dataclass(frozen=True)
class Limits:
    """The bounds of a label set that makes sense. Shares are fractions in [0, 1].

    Attributes:
        max_void_share: of all pixels. Measured: VOC 0.06, SBD 0, COCO 0.01 to 0.06.
        min_void_share: of all pixels; above 0 where the annotation has void borders (see
            `Dataset.min_void_share`).
        min_background_share: of labelled pixels. Measured: VOC 0.71, SBD 0.61, COCO-20 0.74, COCO-90 0.70.
        max_background_share: of labelled pixels.
        max_empty_share: of pictures, those without an object pixel. VOC and COCO-20 have none, SBD hardly any; of COCO
            train2017's 118,287 pictures 1,021 have no annotation (0.9 %), and a small sample may have more.
        max_grey_share: of pictures, those with one channel. COCO has a few in a thousand; more means that
            colour was lost on the way.
        min_classes: number of object classes that must occur; None to demand every class but the
            `absent_classes`.
        absent_classes: names of classes that need not occur.
        pictures: exact number of pictures, or None.
        ids_sha256: exact `segrepro.files.ids_sha256` of the ids, or None.
    """

    max_void_share: float = 0.25
    min_void_share: float = 0.0
    min_background_share: float = 0.3
    max_background_share: float = 0.95
    max_empty_share: float = 0.0
    max_grey_share: float = 0.05
    min_classes: int | None = None
    absent_classes: tuple[str, ...] = ()
    pictures: int | None = None
    ids_sha256: str | None = None


# The default of `Limits.max_empty_share` by label space. VOC's leaves room for SBD, whose masks were made by a crowd:
# one of its 11,355 pictures must not stop a run. Labels that were lost on the way are lost in more than 1 of 100.
MAX_EMPTY_SHARE = {"voc21": 0.01, "coco91": 0.1}


def check_manifest(
    manifest: Path,
    space: LabelSpace | None,
    limits: Limits,
    *,
    disjoint_from: Iterable[Path] = (),
    threads: int = 1,
) -> tuple[LabelStatistics, dict[str, Any]]:
    """Check a manifest's ids, files and labels: what costs least comes first.

    Args:
        manifest: the manifest's path.
        space: the label space of its masks; None for a set without ground truth.
        limits: what the set must satisfy.
        disjoint_from: manifests that must not share a picture with it.
        threads: number of processes that decode pictures.

    Returns:
        The counts, and the summary for the JSON (see `summary`).

    Raises:
        UserError: a check failed.
    """
    manifest = Path(manifest)
    if space is not None:
        _check_class_names(space, limits)
    examples = read_manifest(manifest)
    others = {Path(path): read_manifest(path) for path in disjoint_from}
    check_ids(manifest, examples, limits, others)
    statistics = measure(examples, space.name if space else None, threads=threads)
    check_colour(manifest, statistics, limits)
    if space is not None:
        check_statistics(manifest, statistics, space, limits)
    return statistics, summary(manifest, examples, statistics, space, limits, others)


def check_ids(manifest: Path, examples: list[Example], limits: Limits, others: dict[Path, list[Example]]) -> None:
    """Check the number of pictures, the id hash, and that no picture is in another manifest.

    Args:
        manifest: the manifest's path, for messages.
        examples: its examples.
        limits: `pictures` and `ids_sha256` are checked.
        others: the examples of each manifest that must not share a picture.

    Raises:
        UserError: a check failed.
    """
    ids = {example.id for example in examples}
    if limits.pictures is not None and len(ids) != limits.pictures:
        raise UserError(
            f"{manifest}: {len(ids)} pictures instead of {limits.pictures}; the lists or archives that it is made "
            "from are not the published ones."
        )
    if limits.ids_sha256 is not None and ids_sha256(ids) != limits.ids_sha256.lower():
        raise UserError(
            f"{manifest}: the ids' sha256 is {ids_sha256(ids)} instead of {limits.ids_sha256.lower()}; the lists "
            "that it is made from are not the published ones."
        )
    for path, other in others.items():
        shared = sorted(ids & {example.id for example in other})
        if shared:
            raise UserError(
                f"{manifest}: picture '{shared[0]}' is also in {path} ({len(shared)} in all), which must have no "
                "picture in common with it; correct the id lists."
            )


def check_statistics(manifest: Path, statistics: LabelStatistics, space: LabelSpace, limits: Limits) -> None:
    """Check the distribution of labels (the table above).

    Args:
        manifest: the manifest's path, for messages.
        statistics: its counts.
        space: the label space of its masks.
        limits: the bounds.

    Raises:
        UserError: a check failed.
    """
    void, background = statistics.void_share, statistics.background_share
    if void > limits.max_void_share:
        raise UserError(
            f"{manifest}: {void:.1%} of the pixels are void, more than {limits.max_void_share:.1%}; probably "
            f"background became {VOID} (labels shifted down by one): convert the source again, or raise "
            "--max-void-share."
        )
    if void < limits.min_void_share:
        raise UserError(
            f"{manifest}: {void:.2%} of the pixels are void, less than {limits.min_void_share:.2%}; probably void "
            "became a class: convert the source again, or lower --min-void-share."
        )
    most = int(statistics.pixels[:VOID].argmax())
    if most != BACKGROUND:
        raise UserError(
            f"{manifest}: the most frequent label is {most} ({space.classes[most]}), not background; the labels are "
            "probably shifted: convert the source again."
        )
    if not limits.min_background_share <= background <= limits.max_background_share:
        cause, option = (
            (
                "objects probably became background (COCO's stuff labels used as things?)",
                "--max-background-share",
            )
            if background > limits.max_background_share
            else ("the labels are probably not of this label space", "--min-background-share")
        )
        raise UserError(
            f"{manifest}: {background:.1%} of the labelled pixels are background, outside "
            f"{limits.min_background_share:.1%} .. {limits.max_background_share:.1%}; {cause}: convert the source "
            f"again, or change {option}."
        )
    empty = len(statistics.empty) / statistics.pictures
    if empty > limits.max_empty_share:
        raise UserError(
            f"{manifest}: picture '{statistics.empty[0]}' has no object pixel ({len(statistics.empty)} of "
            f"{statistics.pictures} pictures, at most {limits.max_empty_share:.1%} may); correct its mask or raise "
            "--max-empty-share."
        )
    _check_classes(manifest, statistics, space, limits)


def check_colour(manifest: Path, statistics: LabelStatistics, limits: Limits) -> None:
    """Check that few pictures are grey.

    Raises:
        UserError: more than `Limits.max_grey_share` of the pictures have one channel.
    """
    if statistics.grey / statistics.pictures > limits.max_grey_share:
        raise UserError(
            f"{manifest}: {statistics.grey} of {statistics.pictures} pictures have one channel, more than "
            f"{limits.max_grey_share:.1%}; put the published colour pictures there, or raise --max-grey-share."
        )


def _check_class_names(space: LabelSpace, limits: Limits) -> None:
    known = sorted(space.classes[label] for label in object_labels(space))
    for name in limits.absent_classes:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"use one of {', '.join(known)}."
            raise UserError(f"--absent-class: '{name}' is no class of {space.name}; {hint}")


def _check_classes(manifest: Path, statistics: LabelStatistics, space: LabelSpace, limits: Limits) -> None:
    objects = object_labels(space)
    occurring = [label for label in objects if statistics.pixels[label]]
    if limits.min_classes is not None:
        if len(occurring) < limits.min_classes:
            raise UserError(
                f"{manifest}: {len(occurring)} of {len(objects)} classes occur, fewer than {limits.min_classes}; "
                "convert the source again, or lower --min-classes."
            )
        return
    absent = [space.classes[label] for label in objects if not statistics.pixels[label]]
    missing = [name for name in absent if name not in limits.absent_classes]
    if missing:
        raise UserError(
            f"{manifest}: class {missing[0]} occurs in no picture ({len(missing)} such classes); the labels are "
            "probably shifted or incomplete: convert the source again, or declare --absent-class (or --min-classes)."
        )


def object_labels(space: LabelSpace) -> list[int]:
    """The labels that name an object class: all used ones but background."""
    return [label for label in space.used_labels if label != BACKGROUND]


def summary(
    manifest: Path,
    examples: list[Example],
    statistics: LabelStatistics,
    space: LabelSpace | None,
    limits: Limits,
    others: Iterable[Path],
) -> dict[str, Any]:
    """What was counted and what was checked, for the JSON: plain values, the same for the same inputs.

    Returns:
        ``manifest`` and ``disjoint_from`` (file names without suffix), ``label_space``, ``examples``,
        ``pictures``, ``ids_sha256``, ``grey_pictures``, ``exif_rotated_pictures``, ``limits``, ``checked``
        (sentences) and, with masks, ``pixels``, ``void_share``, ``background_share`` (of labelled pixels),
        ``empty_pictures``, ``absent_classes`` and ``classes`` (name -> label, pixels, pictures).
    """
    others = sorted(path.stem for path in others)
    value = {
        "manifest": manifest.stem,
        "label_space": space.name if space else None,
        "examples": len(examples),
        "pictures": statistics.pictures,
        "ids_sha256": ids_sha256({example.id for example in examples}),
        "grey_pictures": statistics.grey,
        "exif_rotated_pictures": statistics.rotated,
        "disjoint_from": others,
        "limits": asdict(limits) | {"absent_classes": sorted(limits.absent_classes)},
        "checked": _checked(space, limits, others),
    }
    if space is None:
        return value
    classes = {
        space.classes[label]: {
            "label": label,
            "pixels": int(statistics.pixels[label]),
            "pictures": int(statistics.pictures_with[label]),
        }
        for label in space.used_labels
    }
    return value | {
        "pixels": int(statistics.pixels.sum()),
        "void_share": statistics.void_share,
        "background_share": statistics.background_share,
        "empty_pictures": len(statistics.empty),
        "absent_classes": [name for name, count in classes.items() if not count["pixels"]],
        "classes": classes,
    }


def _checked(space: LabelSpace | None, limits: Limits, others: list[str]) -> list[str]:
    checked = ["every picture decodes to three channels"]
    if space is not None:
        checked += [
            "every mask is single-channel and as large as its picture",
            f"every mask value is a label of {space.name} or void",
            "background is the most frequent label",
            "void, background and empty-picture shares are within the limits",
            f"at least {limits.min_classes} classes occur"
            if limits.min_classes is not None
            else "every class occurs that was not declared absent",
        ]
    checked += ["the number of pictures is the published one"] if limits.pictures is not None else []
    checked += ["the id hash is the published one"] if limits.ids_sha256 is not None else []
    return checked + [f"no picture in common with {other}" for other in others]
