"""Measuring a manifest's pictures and masks: decode each one fully, count the labels.

Whatever is wrong with a single file is refused here, by name; whether the whole set makes sense is judged by
`segrepro.data.checks`.
"""

import functools
import itertools
import operator
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from segrepro.data.boxes import check_touches
from segrepro.data.masks import UNCONVERTED, UNDECODABLE, read_converted_mask
from segrepro.data.parallel import map_in_processes
from segrepro.data.pictures import GREY_MODES, PICTURE_MODES, opened_picture
from segrepro.errors import UserError
from segrepro.labels import BACKGROUND, VOID, label_space
from segrepro.stores.manifests import Example

EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
PICTURES_PER_TASK = 16  # about 0.1 s of work, so that handing over a task costs nothing


@dataclass
class LabelStatistics:
    """Counts over a set of pictures; two sets' counts add up."""

    pictures: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))  # of each mask value
    pictures_with: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))  # in which the mask value occurs
    empty: list[str] = field(default_factory=list)  # ids of pictures of background and void only, sorted
    grey: int = 0  # pictures with one channel, which decoders repeat three times (COCO has some)
    rotated: int = 0  # pictures whose EXIF tag asks for a rotation, which decoders must not obey: masks do not

    def __iadd__(self, other: "LabelStatistics") -> "LabelStatistics":
        for count in fields(self):
            setattr(self, count.name, getattr(self, count.name) + getattr(other, count.name))
        self.empty.sort()
        return self

    @property
    def void_share(self) -> float:
        """Void pixels over all mask pixels, in [0, 1]."""
        return float(self.pixels[VOID] / max(self.pixels.sum(), 1))

    @property
    def background_share(self) -> float:
        """Background over labelled (non-void) pixels, in [0, 1]: 1 where all objects became background."""
        labelled = self.pixels.sum() - self.pixels[VOID]
        return float(self.pixels[BACKGROUND] / max(labelled, 1))


def measure(examples: list[Example], space: str | None, *, threads: int = 1) -> LabelStatistics:
    """Decode every picture and mask of a manifest and count the labels; with ``space`` None, pictures only.

    Rows of one picture (DeconvNet's manifests have a row per box) are measured once. The counts are the same for any
    number of processes.

    Raises:
        UserError: a file is missing, damaged, of the wrong kind or size, or holds a value outside the label space.
    """
    rows = [list(group) for _, group in itertools.groupby(sorted(examples), key=lambda example: example.id)]
    tasks = [rows[i : i + PICTURES_PER_TASK] for i in range(0, len(rows), PICTURES_PER_TASK)]
    measure_some = functools.partial(_measure_pictures, used_labels=label_space(space).used_labels if space else None)
    unit = f"x {PICTURES_PER_TASK} pictures"
    parts = map_in_processes(measure_some, tasks, threads=threads, label="check", total=len(tasks), unit=unit)
    return functools.reduce(operator.iadd, parts, LabelStatistics())


def _measure_pictures(pictures: list[list[Example]], used_labels: tuple[int, ...] | None) -> LabelStatistics:
    parts = (measure_picture(rows, used_labels) for rows in pictures)
    return functools.reduce(operator.iadd, parts, LabelStatistics())


def measure_picture(rows: list[Example], used_labels: tuple[int, ...] | None) -> LabelStatistics:
    """Do what `measure` does for the rows of one picture, with the labels that name a class in the label space."""
    first = rows[0]
    for row in rows:
        if (row.image, row.mask, row.instance_mask) != (first.image, first.mask, first.instance_mask):
            raise UserError(
                f"picture '{first.id}' comes with different files in different rows of the manifest; make it again."
            )
    statistics = LabelStatistics(pictures=1)
    size = _check_picture(first.image, statistics)
    for row in rows:
        if row.box is not None:
            check_touches(row.box, *size, name=str(row.image))
    if used_labels is None:
        return statistics
    if first.mask is None:
        raise UserError(
            f"picture '{first.id}' has no mask in the manifest; only a set without ground truth may lack masks "
            "(--label-space none)."
        )
    counts = mask_counts(rows, size, used_labels)
    statistics.pixels += counts
    statistics.pictures_with += counts > 0
    if counts.sum() == counts[BACKGROUND] + counts[VOID]:
        statistics.empty.append(first.id)
    return statistics


def mask_counts(rows: list[Example], size: tuple[int, int], used_labels: tuple[int, ...]) -> np.ndarray:
    """Check the masks of a picture of ``size`` (width, height); return the pixels of each mask value, int64 (256,).

    Raises:
        UserError: as `segrepro.data.masks.read_converted_mask`; the mask holds a value outside the label space; or a
            row names an object that its instance mask does not hold.
    """
    mask = rows[0].mask
    counts = np.bincount(read_converted_mask(mask, size).ravel(), minlength=256)
    _check_values(mask, counts, used_labels)
    _check_instances(rows, size)
    return counts


def _check_picture(path: Path, statistics: LabelStatistics) -> tuple[int, int]:
    """Decode a picture fully, note what is unusual, and return (width, height)."""
    with opened_picture(path, str(path), missing=UNCONVERTED, damaged=UNDECODABLE) as picture:
        picture.load()
        if picture.format not in PICTURE_MODES:
            raise UserError(f"{path}: no JPEG or PNG but {picture.format}; put the published picture there.")
        if picture.mode not in PICTURE_MODES[picture.format]:
            raise UserError(
                f"{path}: does not decode to three channels (mode {picture.mode}); convert it to an RGB JPEG."
            )
        statistics.grey += picture.mode in GREY_MODES
        statistics.rotated += picture.getexif().get(EXIF_ORIENTATION, UPRIGHT) != UPRIGHT
        return picture.size


def _check_values(path: Path, counts: np.ndarray, used_labels: tuple[int, ...]) -> None:
    wrong = sorted(set(np.flatnonzero(counts).tolist()) - {*used_labels, VOID})
    if not wrong:
        return
    shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
    gaps = " with gaps" if len(used_labels) <= used_labels[-1] else ""
    raise UserError(
        f"{path}: pixel value {shown} is not in the label space (0..{used_labels[-1]}{gaps}, {VOID} for void); the "
        "labels are shifted, of another label space (COCO's category or stuff ids?) or colours of a palette: "
        "convert the source again."
    )


def _check_instances(rows: list[Example], size: tuple[int, int]) -> None:
    if rows[0].instance_mask is None:
        return
    present = set(np.unique(read_converted_mask(rows[0].instance_mask, size)).tolist())
    for row in rows:
        if row.instance is not None and (row.instance not in present or row.instance in (BACKGROUND, VOID)):
            raise UserError(
                f"{row.instance_mask}: holds no object {row.instance}, which the manifest names; make it again."
            )
