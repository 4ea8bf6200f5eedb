"""Fine-grained metrics: near boundaries (`segrepro.evaluation.boundary`) and by object size (`.object_sizes`).

They are made of counts per picture, so that totals, intervals and differences of systems need no prediction again.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segrepro.config.fine_grained import FineGrained
from segrepro.data.masks import check_size, read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.evaluation.boundary import boundary_counts, trimap_counts
from segrepro.evaluation.confusion import arrays_of
from segrepro.evaluation.metrics import (
    by_class,
    class_ious,
    counts_of_confusions,
    mean_iou,
    mean_over_classes,
    or_none,
)
from segrepro.evaluation.object_sizes import UNITS, size_counts
from segrepro.evaluation.pictures import PictureScorer
from segrepro.files import atomic_path
from segrepro.labels import LabelSpace
from segrepro.stores.manifests import Example, instances_beside


def _count_picture(scorer: PictureScorer, settings: FineGrained, example: Example) -> tuple[np.ndarray | bool, ...]:
    """Count one picture: its confusion, and of `ARRAYS` all but ``whole``."""
    cv2.setNumThreads(1)  # the processes are the threads that the caller granted
    truth = read_mask(example.mask)
    prediction, confusion = scorer.scored(example, truth)
    instances = _instance_mask(example, truth.shape)
    pair = (truth, prediction, scorer.num_classes)
    return (
        confusion,
        boundary_counts(*pair, ratio=settings.boundary_ratio).astype(np.int32),
        trimap_counts(*pair, widths=settings.trimap_widths).astype(np.int32),
        size_counts(*pair, sides=settings.object_sides, instances=instances).astype(np.int32),
        instances is not None,
    )


def _instance_mask(example: Example, shape: tuple[int, int]) -> np.ndarray | None:
    """Read the instance mask that lies beside a mask in VOC's and SBD's dataset folders; None where there is none."""
    path = instances_beside(example.mask)
    if not path.exists():
        return None
    instances = read_mask(path)
    check_size(instances, *shape[::-1], name=str(path))
    return instances


@dataclass(frozen=True)
class FineCounts:
    """What fine-grained metrics of one system on one split are made of: int32 counts of each picture."""

    system: str
    split: str
    label_space: str
    settings: FineGrained
    ids: list[str]
    whole: np.ndarray  # all pixels but void, shape (pictures, 3, classes); see `counts_of_confusions`
    boundary: np.ndarray  # shape (pictures, 3, classes); see `boundary_counts`
    trimap: np.ndarray  # shape (pictures, widths, 3, classes); see `trimap_counts`
    objects: np.ndarray  # shape (pictures, 2, ranges, classes); see `size_counts`
    instanced: np.ndarray  # bool, shape (pictures,): whether the objects come from an instance mask


ARRAYS = ("whole", "boundary", "trimap", "objects", "instanced")
NAMES = ("system", "split", "label_space")


def score_fine_grained(
    scorer: PictureScorer, settings: FineGrained, examples: list[Example], *, system: str, split: str, threads: int
) -> tuple[np.ndarray, FineCounts]:
    """Score the pictures of a manifest that passed `check_same_pictures`, by any number of processes alike.

    Returns:
        The confusions, int32 of shape (pictures, classes, classes), and the fine-grained counts; in the order of
        ``examples``.

    Raises:
        UserError: mask or instance mask cannot be read or differ in size, a label is out of range, or a process died.
    """
    counted = partial(_count_picture, scorer, settings)
    found = map_in_processes(counted, examples, threads=threads, label=system, total=len(examples))
    confusions, *counts = (np.stack(part) for part in zip(*found, strict=True))
    whole = counts_of_confusions(confusions).astype(np.int32)
    ids = [example.id for example in examples]
    return confusions, FineCounts(system, split, scorer.space, settings, ids, whole, *counts)


def size_iou(counts: np.ndarray) -> np.ndarray:
    """Return the mean IoU of objects by size: over a class' objects, then over the classes that have some.

    Of counts (..., 2, ranges, classes) as of `segrepro.evaluation.object_sizes.size_counts`.

    Returns:
        float64, shape (..., ranges), in [0, 1]; NaN where there is no object.
    """
    number, total = counts[..., 0, :, :], counts[..., 1, :, :]
    return mean_over_classes(total / (UNITS * np.maximum(number, 1)), number > 0)


def fine_grained_summary(counts: FineCounts, space: LabelSpace) -> dict[str, Any]:
    """Return the totals in the form of the metrics JSON, fractions in [0, 1]; None where nothing was counted."""
    settings = counts.settings
    boundary, objects = (part.sum(axis=0, dtype=np.int64) for part in (counts.boundary, counts.objects))
    trimap = mean_iou(counts.trimap.sum(axis=0, dtype=np.int64))
    return {
        "boundary": {
            "ratio": settings.boundary_ratio,
            "miou": or_none(mean_iou(boundary)),
            "per_class_iou": by_class(class_ious(boundary), space),
        },
        "trimap": {"widths": list(settings.trimap_widths), "miou": list(map(or_none, trimap))},
        "object_sizes": {
            "sides": list(settings.object_sides),
            "objects": objects[0].sum(axis=1).tolist(),
            "iou": list(map(or_none, size_iou(objects))),
            "pictures_with_instance_mask": int(counts.instanced.sum()),
        },
    }


def save_fine_counts(path: Path, counts: FineCounts) -> None:
    """Write the counts as compressed ``.npz``, atomically; same values, same bytes."""
    arrays = {name: getattr(counts, name) for name in (*NAMES, *ARRAYS)} | counts.settings.model_dump()
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, ids=np.array(counts.ids, dtype=np.str_), **arrays)


def load_fine_counts(path: Path) -> FineCounts:
    """Read what `save_fine_counts` wrote; a `UserError` where the file is missing, damaged or holds something else."""
    with arrays_of(path, "the fine-grained counts of an evaluation", option=" --fine-grained") as arrays:
        settings = FineGrained(**{name: arrays[name].tolist() for name in FineGrained.model_fields})
        names = [str(arrays[name]) for name in NAMES]
        return FineCounts(*names, settings, arrays["ids"].tolist(), **{name: arrays[name] for name in ARRAYS})
