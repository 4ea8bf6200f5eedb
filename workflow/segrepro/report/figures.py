"""The figures of the report, in the order of the page. To add one: an entry here, and the module that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segrepro.data.datasets import DATASETS
from segrepro.report.registry import (
    DATASET,
    MODEL,
    SPLIT,
    SYSTEM,
    SYSTEM_AND_SPLIT,
    Entry,
    Pair,
    Wildcards,
    chosen,
    splits,
)

if TYPE_CHECKING:
    from segrepro.plan import Plan

DAGGER = "A dagger marks systems that have seen pictures they are scored on."
WHISKERS = f"Whiskers are bootstrap intervals over the pictures; a class that a single picture holds has none. {DAGGER}"

# What several need.
PICTURES = ("manifest", "scores", "label_space", "leakage?", "split?", "threads")
CONFUSIONS = ("confusions", "names", "split", "label_space", "leakage?", "intervals")
FINE_GRAINED = ("fine_grained", "leakage?", "intervals")


def _bars(plan: Plan, wildcards: Wildcards) -> list[Pair]:
    """Return the systems of the class bars; none where the config names none of a split."""
    systems = plan.config.figures.class_bars.systems
    return [pair for pair in chosen(plan, wildcards["split"], systems) if pair[0] in systems]


def _weak(plan: Plan, wildcards: Wildcards) -> list[Pair]:
    """Return the baseline and the others; none where there is nothing to compare."""
    weak, scored = plan.config.figures.weak_classes, plan.scored(wildcards["split"])
    names = [weak.baseline, *weak.systems] if weak else []
    pairs = [(name, wildcards["split"]) for name in names if (name, wildcards["split"]) in scored]
    return pairs if len(pairs) > 1 and pairs[0][0] == weak.baseline else []


def _refined(plan: Plan) -> list[Wildcards]:
    refined = [(name, system) for name, system in plan.config.systems.items() if system.crf]
    return [{"system": name, "split": split} for name, system in refined for split in system.splits]


def _on_boxes(plan: Plan) -> list[Wildcards]:
    models = {name: model.examples.kind for name, model in plan.config.models.items() if model.examples}
    return [{"model": name} for name in sorted(models, key=lambda name: models[name] != "objects")]


def _labelled(plan: Plan) -> list[Wildcards]:
    """Return the datasets with masks that the config lists; VOC's test pictures have none."""
    return [{"dataset": name} for name in plan.config.listed if DATASETS[name].has_masks]


def _by_proposals(plan: Plan) -> list[Wildcards]:
    systems = plan.config.systems.items()
    return [{"system": name} for name, each in systems if each.proposal_wise and each.proposal_wise.proposals]


_ENTRIES = (
    Entry(
        name="grid",
        title="Picture, truth, predictions",
        category="Predictions",
        caption="Picture, ground truth and each system's labels in VOC's colours, with its mIoU on that picture "
        "in percent. Unless the config names pictures, they are chosen by the rule that stands below "
        "their ground truth: best, median and worst by the mean of the systems' mIoUs, and disputed, "
        "where the systems' labels differ most. " + DAGGER,
        scope=SPLIT,
        pairs=lambda plan, w: chosen(plan, w["split"], plan.config.figures.grid.systems),
        made_by="segrepro.report.grid:make",
        needs=(*PICTURES, "ids", "ranked"),
        cores=8,
        memory=4000,
    ),
    Entry(
        name="class_bars",
        title="IoU per class",
        category="Classes",
        caption="IoU per class for several systems. " + WHISKERS,
        scope=SPLIT,
        wanted=lambda plan: [each for each in splits(plan) if _bars(plan, each)],
        pairs=_bars,
        made_by="segrepro.report.class_bars:make",
        needs=CONFUSIONS,
    ),
    Entry(
        name="weak_classes",
        title="The weak classes",
        category="Classes",
        caption="The classes of the first system's lowest IoU, weakest first, and what the other systems "
        "make of them. " + WHISKERS,
        scope=SPLIT,
        wanted=lambda plan: [each for each in splits(plan) if _weak(plan, each)],
        pairs=_weak,
        made_by="segrepro.report.class_bars:make_weakest",
        needs=(*CONFUSIONS, "weakest"),
    ),
    Entry(
        name="crf",
        title="DenseCRF",
        category="Predictions",
        caption="What the fully connected CRF changes: bars show the gain in IoU per class. The pictures below, "
        "before and after, are chosen by their change in mIoU: the largest gains, the median and the "
        "largest losses. " + DAGGER,
        scope=SYSTEM_AND_SPLIT,
        wanted=_refined,
        only_wanted=True,
        pairs=lambda plan, w: [(n, w["split"]) for n in (plan.config.systems[w["system"]].members[0], w["system"])],
        made_by="segrepro.report.crf_figure:make",
        needs=(*PICTURES, "confusions?", "refined"),
    ),
    Entry(
        name="confusion",
        title="Confusion matrix",
        category="Metrics",
        caption="Where the pixels of each class go: rows are the truth, columns the prediction, in "
        "percent of the row, coloured by its square root so that small errors are seen. Right of it "
        "stand each class's recall, with its bootstrap interval over the pictures, and its share of all pixels. "
        + DAGGER,
        scope=SYSTEM_AND_SPLIT,
        made_by="segrepro.report.confusion_figure:make",
        needs=CONFUSIONS,
    ),
    Entry(
        name="examples",
        title="Training examples",
        category="Data",
        caption="A sample of DeconvNet's training examples, with their boxes.",
        scope=MODEL,
        wanted=_on_boxes,
        only_wanted=True,
        made_by="segrepro.report.contact_sheet:make",
        needs=("training_set", "tiles", "label_space"),
    ),
    Entry(
        name="labels",
        title="Label histogram",
        category="Data",
        caption="Share of the pixels, and of the pictures, that each class has in a dataset, after its label checks.",
        scope=DATASET,
        wanted=_labelled,
        made_by="segrepro.report.histogram:make",
        needs=("checks",),
    ),
    Entry(
        name="near_duplicates",
        title="Near-duplicates of COCO and VOC",
        category="Data",
        caption="Pairs of pictures of COCO and of VOC or SBD whose perceptual hashes are close: ids "
        "cannot tell these apart.",
        wanted=lambda plan: [{}] * plan.is_compared,
    ),
    Entry(
        name="object_sizes",
        title="Boundary IoU and object sizes",
        category="Metrics",
        caption="The left panel shows each system's mIoU and boundary IoU, the right one its IoU of objects by "
        "their size in pixels (their number in brackets). Lines are bootstrap intervals over the pictures. " + DAGGER,
        scope=SPLIT,
        made_by="segrepro.report.size_figure:make",
        needs=FINE_GRAINED,
    ),
    Entry(
        name="proposals",
        title="Proposals",
        category="Predictions",
        caption="The label map that grows with the number of DeconvNet's object proposals. " + DAGGER,
        scope=SYSTEM,
        wanted=_by_proposals,
        only_wanted=True,
        pairs=lambda plan, w: [(w["system"], plan.config.systems[w["system"]].splits[0])],
        made_by="segrepro.report.proposals_figure:make",
        needs=(
            *("model", "spec", "manifest", "proposals", "system?", "split?", "leakage?"),
            *("ids", "proposal_counts", "threads", "gpus"),
        ),
        cores=8,
        network=True,
        memory=8000,
        minutes=30,
    ),
    Entry(
        name="sample",
        title="Generated scenes",
        category="Data",
        caption="Generated scenes and their masks, which stand in for the archives at sample scale.",
        wanted=lambda plan: [{}] * (plan.config.pictures == "generated"),
    ),
    Entry(
        name="training",
        title="Training curves",
        category="Training",
        caption="Loss, pixel accuracy and learning rate of each training over its steps.",
        wanted=lambda plan: [{}] if any(model.train for model in plan.config.models.values()) else [],
        made_by="segrepro.report.curves:make",
        needs=("history", "trainings?"),
    ),
    Entry(
        name="trimap",
        title="Near boundaries",
        category="Metrics",
        caption="mIoU within a band on either side of the truth's boundaries, by the band's width: as it "
        "is on the left, as a share of the system's mIoU over all pixels on the right. The shading is the "
        "bootstrap interval over the pictures, of 95 % unless the config says otherwise. " + DAGGER,
        scope=SPLIT,
        made_by="segrepro.report.trimap:make",
        needs=FINE_GRAINED,
    ),
)

FIGURES = {entry.name: entry for entry in _ENTRIES}
