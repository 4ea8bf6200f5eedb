"""What a run makes: the tables, the figures, the checks, and which systems they show."""

from typing import Any

from segrepro.data.datasets import DATASETS
from segrepro.options import as_options
from segrepro.plan.datasets import available
from segrepro.plan.experiment import Plan
from segrepro.plan.lineage import is_compared

# The tables that compare systems, each as CSV, Markdown and LaTeX, and what the report calls them.
COMPARISONS = {
    "miou": "mIoU",
    "per_class_iou": "IoU per class",
    "report2": "report 2: reported and measured",
    "voc2012_test": "VOC 2012 test",
    "crf": "CRF: before and after",
    "ablation": "ablations",
    "paired": "paired differences",
    "reproduction": "agreement with other seeds and reported values",
}


def label_checks(plan: Plan) -> list[str]:
    """Return label checks, and histograms where there are labels, of every dataset that the config lists."""
    names = [name for name in plan.config.datasets if available(plan, name)]
    return [f"{plan.results}/checks/{name}.json" for name in names] + [
        f"{plan.results}/figures/labels/{name}.png" for name in names if DATASETS[name].has_masks
    ]


def submissions(plan: Plan) -> list[str]:
    """Return archives for VOC's server; none where VOC's test pictures are left out."""
    systems = plan.config.submission.systems if available(plan, "voc_test") else []
    return [f"{plan.results}/submission/{system}/results.tar.gz" for system in systems]


def splits(plan: Plan) -> list[str]:
    """Return all scored splits, in the order of the systems that are scored on them."""
    return list(dict.fromkeys(split for _, split in plan.scored()))


def tables(plan: Plan) -> list[str]:
    """Return all tables; those that compare systems in three forms."""
    folder, config = f"{plan.results}/tables", plan.config
    predicted = {
        (config.systems[name].proposal_wise.proposals, split)
        for name in plan.box_by_box
        for split in config.systems[name].splits
        if config.systems[name].proposal_wise.proposals
    }
    single = ["boundary", "leakage", "provenance"] + ["near_duplicates"] * is_compared(plan)
    return [
        *(f"{folder}/{table}.{form}" for table in COMPARISONS for form in ("csv", "md", "tex")),
        *(f"{folder}/{table}.csv" for table in single),
        *(f"{folder}/examples/{model}.csv" for model in plan.own_sets),
        *(f"{folder}/proposals/{name}_{split}.csv" for name, split in sorted(predicted)),
        *(f"{folder}/crf_search/{system}.csv" for system in plan.tuned),
    ]


def figures(plan: Plan) -> list[str]:
    """Return all figures."""
    folder, config, scored = f"{plan.results}/figures", plan.config, sorted(splits(plan))
    compared = config.figures.compared
    bars = ("class_bars", "weak_classes")
    return [
        *(f"{folder}/grid/{split}.png" for split in scored),
        *(f"{folder}/{bar}/{split}.png" for bar in bars for split in scored if in_class_bars(plan, bar, split)),
        *[f"{folder}/training.png"] * bool(plan.trained),
        *[f"{folder}/near_duplicates.png"] * is_compared(plan),
        *(f"{folder}/crf/{name}/{split}.png" for name in plan.refined for split in config.systems[name].splits),
        *(f"{folder}/{figure}/{split}.png" for figure in ("trimap", "object_sizes") for split in scored),
        *(f"{folder}/confusion/{name}/{split}.png" for split in scored for name in shown(plan, split, compared)),
        *(f"{folder}/examples/{model}.png" for model in plan.on_boxes),
        *(f"{folder}/proposals/{name}.png" for name in plan.box_by_box if config.systems[name].proposal_wise.proposals),
    ]


def on_the_page(plan: Plan) -> dict[str, list[str]]:
    """Return what the report page shows of tables, figures and explorable pictures, as rule inputs."""
    drawn = [*figures(plan), *(file for file in label_checks(plan) if file.endswith(".png"))]
    preview = [f"{plan.results}/figures/sample.png"] * (plan.config.pictures == "generated")
    return {
        "tables": [table for table in tables(plan) if table.endswith(".csv")],
        "figures": [*drawn, *preview],
        "pictures": [f"{plan.results}/report/pictures/{split}" for split in splits(plan)],
    }


def shown(plan: Plan, split: str, section: Any) -> list[str]:
    """Return the systems of a split that a figure shows: those that its section of the config names, or all."""
    systems = [name for name, _ in plan.scored(split)]
    return [name for name in section.systems if name in systems] or systems


def grid_options(plan: Plan, split: str) -> str:
    """Return the options that say which pictures of a split the grid shows: the config's, or by its rules."""
    grid = plan.config.figures.grid
    if ids := grid.ids.get(split):
        return f"--ids {' '.join(ids)}"
    return as_options(grid, leave_out=["ids", "systems"])


def in_class_bars(plan: Plan, figure: str, split: str) -> list[str]:
    """Return the systems of a split that a figure of class bars shows; none where there is nothing to compare."""
    systems = [name for name, _ in plan.scored(split)]
    if figure == "class_bars":
        return [name for name in plan.config.figures.class_bars.systems if name in systems]
    weak = plan.config.figures.weak_classes
    if weak is None or weak.baseline not in systems:
        return []
    others = [name for name in weak.systems if name in systems]
    return [weak.baseline, *others] if others else []
