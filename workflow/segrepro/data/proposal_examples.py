"""DeconvNet's stage-2 training examples: one object proposal per row, enlarged, all classes in it labelled.

The paper takes proposals that overlap a ground-truth box well, scales them by 1.2 as in stage 1 and balances the
classes by repetition (arXiv 1505.04366, sections 4.2 and 5.1: 2.7 million examples). Its list is gone from the web.
"""

from collections.abc import Iterator

import numpy as np

from segrepro.config.models import ProposalExamples
from segrepro.data.boxes import Box, check_touches, enlarge, overlaps
from segrepro.data.object_examples import (
    PictureObject,
    check_whole_pictures,
    picture_objects,
)
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.stores.manifests import Example
from segrepro.stores.proposals import ProposalReader


def proposal_examples(
    examples: list[Example], proposals: ProposalReader, rules: ProposalExamples, *, threads: int = 1
) -> tuple[list[Example], list[int], list[str]]:
    """Build the stage-2 examples of a dataset of whole pictures: one row per proposal, not yet balanced.

    Returns:
        The examples (box enlarged, may leave the picture; no instance), the class of each, 1..20 (that of the
        object it overlaps most), and the ids of the pictures without a fitting proposal.

    Raises:
        UserError: a picture cannot be used (see `picture_objects`), comes with a box or repeats, or is not among the
            proposals; or there is no example at all.
    """
    check_whole_pictures(examples)

    def tasks() -> Iterator[tuple[Example, np.ndarray, ProposalExamples]]:
        for example in examples:
            yield example, proposals.boxes(example.id), rules

    found = map_in_processes(_chosen_boxes, tasks(), threads=threads, label="proposals", total=len(examples))
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


def _chosen_boxes(task: tuple[Example, np.ndarray, ProposalExamples]) -> tuple[dict[Box, int], int]:
    """Return a picture's boxes with the class of each, and how many of its proposals fit.

    A dictionary: two proposals that become one box when enlarged are one example.
    """
    example, proposals, rules = task
    picture = picture_objects(example, min_area=rules.min_area)
    fitting, labels = fitting_proposals(proposals, picture.objects, rules)
    if rules.add_ground_truth:
        own = np.array([item.box for item in picture.objects], np.int64).reshape(-1, 4)
        boxes = np.concatenate([own, fitting])
        labels = [item.label for item in picture.objects] + labels
    else:
        boxes = fitting
    chosen: dict[Box, int] = {}
    for box, label in zip(map(tuple, enlarge(boxes, rules.enlarge).tolist()), labels, strict=True):
        check_touches(box, picture.width, picture.height, name=str(example.image))
        chosen.setdefault(box, label)
    return chosen, len(fitting)


def fitting_proposals(
    proposals: np.ndarray, objects: list[PictureObject], rules: ProposalExamples
) -> tuple[np.ndarray, list[int]]:
    """Choose the proposals (n, 4) of a picture that overlap an object enough, in rank order.

    Returns:
        The boxes as they were, int64 (m, 4), and the class of the object that each overlaps most (of equal
        ones, the first).
    """
    proposals = np.asarray(proposals, np.int64).reshape(-1, 4)
    if not objects or not len(proposals):
        return proposals[:0], []
    overlap = overlaps(proposals, np.array([item.box for item in objects]))
    fitting = np.flatnonzero(overlap.max(axis=1) >= rules.min_overlap)[: rules.max_per_picture]
    return proposals[fitting], [objects[best].label for best in overlap[fitting].argmax(axis=1)]
