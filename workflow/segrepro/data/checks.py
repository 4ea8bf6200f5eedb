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
from pathlib import Path
from typing import Any

from segrepro.config.data import DatasetChecks, LabelChecks
from segrepro.data.label_statistics import LabelStatistics, measure
from segrepro.errors import UserError
from segrepro.files import ids_sha256
from segrepro.labels import BACKGROUND, VOID, LabelSpace
from segrepro.stores.manifests import Example, read_manifest

# `DatasetChecks.max_empty_share` by label space, where it is null. VOC and COCO-20 have no empty picture, SBD hardly
# any, and VOC's bound leaves room for SBD's, whose masks were made by a crowd: one of its 11,355 pictures must not stop
# a run. Of COCO train2017's 118,287 pictures 1,021 have no annotation (0.9 %), and a small sample may have more. Labels
# that were lost on the way are lost in more than 1 of 100.
MAX_EMPTY_SHARE = {"voc21": 0.01, "coco91": 0.1}


def check_manifest(
    manifest: Path,
    space: LabelSpace | None,
    checks: DatasetChecks,
    bounds: LabelChecks,
    *,
    disjoint_from: Iterable[Path] = (),
    threads: int = 1,
) -> dict[str, Any]:
    """Check a manifest's ids, files and labels: what costs least comes first. Refuse one that fails.

    ``space`` is the label space of its masks, None for a set without ground truth; the manifests of ``disjoint_from``
    (those of ``checks`` are not read) must not share a picture with it.

    Returns:
        What was counted and checked, for the JSON: plain values, the same for the same inputs. ``manifest`` and
        ``disjoint_from`` (file names without suffix), ``label_space``, ``examples``, ``pictures``, ``ids_sha256``,
        ``grey_pictures``, ``exif_rotated_pictures``, ``limits``, ``checked`` (sentences) and, with masks, ``pixels``,
        ``void_share``, ``background_share`` (of labelled pixels), ``empty_pictures``, ``absent_classes`` and
        ``classes`` (name -> label, pixels, pictures).
    """
    manifest = Path(manifest)
    if space is not None:
        _check_class_names(space, checks)
    examples = read_manifest(manifest)
    others = {Path(path): read_manifest(path) for path in disjoint_from}
    _check_ids(manifest, examples, checks, others)
    statistics = measure(examples, space.name if space else None, threads=threads)
    if statistics.grey / statistics.pictures > bounds.max_grey_share:
        raise UserError(
            f"{manifest}: {statistics.grey} of {statistics.pictures} pictures have one channel, more than "
            f"{bounds.max_grey_share:.1%}; put the published colour pictures there, or raise --max-grey-share."
        )
    names = sorted(path.stem for path in others)
    summary = {
        "manifest": manifest.stem,
        "label_space": space.name if space else None,
        "examples": len(examples),
        "pictures": statistics.pictures,
        "ids_sha256": ids_sha256({example.id for example in examples}),
        "grey_pictures": statistics.grey,
        "exif_rotated_pictures": statistics.rotated,
        "disjoint_from": names,
        "limits": bounds.model_dump()
        | checks.model_dump(exclude={"disjoint_from"})
        | {"absent_classes": sorted(checks.absent_classes), "max_empty_share": _max_empty_share(space, checks)},
        "checked": _checked(space, checks, names),
    }
    if space is not None:
        check_statistics(manifest, statistics, space, checks, bounds)
        summary |= _label_counts(statistics, space)
    return summary


def _check_ids(
    manifest: Path, examples: list[Example], checks: DatasetChecks, others: dict[Path, list[Example]]
) -> None:
    ids = {example.id for example in examples}
    if checks.pictures not in (None, len(ids)):
        raise UserError(
            f"{manifest}: {len(ids)} pictures instead of {checks.pictures}; the lists or archives that it is made from "
            "are not the published ones."
        )
    if checks.ids_sha256 not in (None, ids_sha256(ids)):
        raise UserError(
            f"{manifest}: the ids' sha256 is {ids_sha256(ids)} instead of {checks.ids_sha256}; the lists that it is "
            "made from are not the published ones."
        )
    for path, other in others.items():
        if shared := ids & {example.id for example in other}:
            raise UserError(
                f"{manifest}: picture '{min(shared)}' is also in {path} ({len(shared)} in all), which must have no "
                "picture in common with it; correct the id lists."
            )


def check_statistics(
    manifest: Path, statistics: LabelStatistics, space: LabelSpace, checks: DatasetChecks, bounds: LabelChecks
) -> None:
    """Refuse a distribution of labels that an accident of the table above leaves."""
    void, background = statistics.void_share, statistics.background_share
    if void > bounds.max_void_share:
        raise UserError(
            f"{manifest}: {void:.1%} of the pixels are void, more than {bounds.max_void_share:.1%}; probably "
            f"background became {VOID} (labels shifted down by one): convert the source again, or raise "
            "--max-void-share."
        )
    if void < checks.min_void_share:
        raise UserError(
            f"{manifest}: {void:.2%} of the pixels are void, less than {checks.min_void_share:.2%}; probably void "
            "became a class: convert the source again, or lower --min-void-share."
        )
    most = int(statistics.pixels[:VOID].argmax())
    if most != BACKGROUND:
        raise UserError(
            f"{manifest}: the most frequent label is {most} ({space.classes[most]}), not background; the labels are "
            "probably shifted: convert the source again."
        )
    low, high = bounds.min_background_share, bounds.max_background_share
    if not low <= background <= high:
        cause, option = ("the labels are probably not of this label space", "--min-background-share")
        if background > high:
            cause = "objects probably became background (COCO's stuff labels used as things?)"
            option = "--max-background-share"
        raise UserError(
            f"{manifest}: {background:.1%} of the labelled pixels are background, outside {low:.1%} .. {high:.1%}; "
            f"{cause}: convert the source again, or change {option}."
        )
    empty, most_empty = statistics.empty, _max_empty_share(space, checks)
    if len(empty) / statistics.pictures > most_empty:
        raise UserError(
            f"{manifest}: picture '{empty[0]}' has no object pixel ({len(empty)} of {statistics.pictures} pictures, at "
            f"most {most_empty:.1%} may); correct its mask or raise --max-empty-share."
        )
    _check_classes(manifest, statistics, space, checks)


def _check_classes(manifest: Path, statistics: LabelStatistics, space: LabelSpace, checks: DatasetChecks) -> None:
    absent = [space.classes[label] for label in space.object_labels if not statistics.pixels[label]]
    occurring = len(space.object_labels) - len(absent)
    missing = [name for name in absent if name not in checks.absent_classes]
    if checks.min_classes is not None and occurring < checks.min_classes:
        raise UserError(
            f"{manifest}: {occurring} of {len(space.object_labels)} classes occur, fewer than {checks.min_classes}; "
            "convert the source again, or lower --min-classes."
        )
    if checks.min_classes is None and missing:
        raise UserError(
            f"{manifest}: class {missing[0]} occurs in no picture ({len(missing)} such classes); the labels are "
            "probably shifted or incomplete: convert the source again, or declare --absent-classes (or --min-classes)."
        )


def _check_class_names(space: LabelSpace, checks: DatasetChecks) -> None:
    known = sorted(space.classes[label] for label in space.object_labels)
    for name in checks.absent_classes:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"use one of {', '.join(known)}."
            raise UserError(f"--absent-classes: '{name}' is no class of {space.name}; {hint}")


def _max_empty_share(space: LabelSpace | None, checks: DatasetChecks) -> float:
    declared = checks.max_empty_share
    return MAX_EMPTY_SHARE.get(space.name if space else "", 0.0) if declared is None else declared


def _label_counts(statistics: LabelStatistics, space: LabelSpace) -> dict[str, Any]:
    pixels, pictures = statistics.pixels.tolist(), statistics.pictures_with.tolist()
    classes = {
        space.classes[label]: {"label": label, "pixels": pixels[label], "pictures": pictures[label]}
        for label in space.used_labels
    }
    return {
        "pixels": sum(pixels),
        "void_share": statistics.void_share,
        "background_share": statistics.background_share,
        "empty_pictures": len(statistics.empty),
        "absent_classes": [name for name, count in classes.items() if not count["pixels"]],
        "classes": classes,
    }


def _checked(space: LabelSpace | None, checks: DatasetChecks, others: list[str]) -> list[str]:
    checked = ["every picture decodes to three channels"]
    if space is not None:
        checked += [
            "every mask is single-channel and as large as its picture",
            f"every mask value is a label of {space.name} or void",
            "background is the most frequent label",
            "void, background and empty-picture shares are within the limits",
            f"at least {checks.min_classes} classes occur"
            if checks.min_classes
            else "every class occurs that was not declared absent",
        ]
    checked += ["the number of pictures is the published one"] if checks.pictures is not None else []
    checked += ["the id hash is the published one"] if checks.ids_sha256 is not None else []
    return checked + [f"no picture in common with {other}" for other in others]
