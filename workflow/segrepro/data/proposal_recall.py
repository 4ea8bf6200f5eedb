"""How many objects do proposals find? Recall and mean best overlap against the tight boxes of the instances."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.config.proposals import ProposalRecall
from segrepro.data.boxes import overlaps, tight_boxes
from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.data.training_sets import instance_mask_path
from segrepro.errors import UserError
from segrepro.stores.manifests import Example
from segrepro.stores.proposals import ProposalReader

COLUMNS = ("proposals", "iou", "objects", "recall", "mean_best_overlap", "pictures", "boxes_per_picture")


def recall_table(
    proposals: Path, examples: Iterable[Example], settings: ProposalRecall, *, threads: int = 1
) -> list[dict[str, Any]]:
    """Measure a file of proposals on the pictures of a manifest, each once.

    Returns:
        A row for each number of proposals and each IoU, with `COLUMNS`: ``objects`` counts all of them, ``recall`` is
        the share that is found, ``mean_best_overlap`` the mean over objects of the IoU of the best proposal (ABO; 0
        where there is none), ``boxes_per_picture`` the mean number of proposals that there were.

    Raises:
        UserError: a picture has no instance mask or is not among the proposals, or there is no object at all.
    """
    with ProposalReader(proposals):
        pass  # refuses a file that is none before any process starts
    pictures = sorted({example.id: example for example in examples}.values())
    measure = partial(_measure, proposals=proposals, counts=settings.counts)
    measured = map_in_processes(measure, pictures, threads=threads, label="recall", total=len(pictures))
    best = np.concatenate([overlap for overlap, _ in measured])
    if not len(best):
        raise UserError(f"{proposals}: the manifest's pictures hold no object; use a set with instances.")
    used = np.mean([number for _, number in measured], axis=0)
    return [
        {
            "proposals": count,
            "iou": iou,
            "objects": len(best),
            "recall": float(np.mean(best[:, column] >= iou)),
            "mean_best_overlap": float(np.mean(best[:, column])),
            "pictures": len(pictures),
            "boxes_per_picture": float(used[column]),
        }
        for column, count in enumerate(settings.counts)
        for iou in settings.ious
    ]


def _measure(example: Example, *, proposals: Path, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return `best_overlaps` of the picture's objects, and how many boxes each count had."""
    objects = np.array(list(tight_boxes(read_mask(instance_mask_path(example))).values())).reshape(-1, 4)
    with ProposalReader(proposals) as reader:
        boxes = reader.boxes(example.id)
    return best_overlaps(objects, boxes, counts), np.minimum(len(boxes), counts)


def best_overlaps(objects: np.ndarray, boxes: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return the IoU of each object (k, 4) with the best of the first 1..count boxes (n, 4), best first.

    The result is float64 of shape (k, len(counts)), in [0, 1]; 0 where there is no box.
    """
    if not len(boxes) or not len(objects):
        return np.zeros((len(objects), len(counts)))
    so_far = np.maximum.accumulate(overlaps(objects, boxes), axis=1)
    return so_far[:, np.minimum(counts, len(boxes)) - 1]
