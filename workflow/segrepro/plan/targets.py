"""What a run makes: the tables, the figures, the checks, and which systems they show."""

from segrepro.plan.datasets import available
from segrepro.plan.experiment import Plan
from segrepro.plan.lineage import is_compared
from segrepro.report.figures import FIGURES

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
    return [f"{plan.results}/checks/{name}.json" for name in names] + drawn(plan, "labels")


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


def drawn(plan: Plan, figure: str) -> list[str]:
    """Return the files of one figure that a run makes."""
    return [f"{plan.results}/figures/{place}.png" for place in FIGURES[figure].places(plan)]


def figures(plan: Plan) -> list[str]:
    """Return all figures."""
    made = (file for entry in FIGURES.values() if entry.made_by for file in drawn(plan, entry.name))
    return [*made, *[f"{plan.results}/figures/near_duplicates.png"] * is_compared(plan)]


def on_the_page(plan: Plan) -> dict[str, list[str]]:
    """Return what the report page shows of tables, figures and explorable pictures, as rule inputs."""
    preview = [f"{plan.results}/figures/sample.png"] * (plan.config.pictures == "generated")
    return {
        "tables": [table for table in tables(plan) if table.endswith(".csv")],
        "figures": [*figures(plan), *preview],
        "pictures": [f"{plan.results}/report/pictures/{split}" for split in splits(plan)],
    }
