# What a run makes: the tables, the figures, the checks, and which systems they show.


# Ids tell VOC's and SBD's pictures apart, but not COCO's from theirs: those are compared by sight.
COMPARED = bool(compared_manifests(coco=True) and compared_manifests(coco=False))


def label_checks():
    """Label checks, and histograms where there are labels, of every dataset that the config lists."""
    names = [name for name in CONFIG.datasets if available(name)]
    return expand(f"{RESULTS}/checks/{{name}}.json", name=names) + expand(
        f"{RESULTS}/figures/labels/{{name}}.png",
        name=[n for n in names if DATASETS[n].has_masks],
    )


def crf_figures():
    """Before and after, of every CRF and split."""
    return [
        f"{RESULTS}/figures/crf/{name}/{split}.png"
        for name in REFINED
        for split in CONFIG.systems[name].splits
    ]


def submissions():
    """Archives for VOC's server; none where VOC's test pictures are left out."""
    systems = CONFIG.submission.systems if available("voc_test") else []
    return expand(f"{RESULTS}/submission/{{system}}/results.tar.gz", system=systems)


def comparison_figures(splits):
    """What the figures compare systems by: trimap curves and object sizes, and each one's confusion matrix."""
    return expand(
        f"{RESULTS}/figures/{{figure}}/{{split}}.png",
        figure=["trimap", "object_sizes"],
        split=splits,
    ) + [
        f"{RESULTS}/figures/confusion/{system}/{split}.png"
        for split in splits
        for system in shown(split, CONFIG.figures.compared)
    ]


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


def tables():
    return [
        *expand(
            f"{RESULTS}/tables/{{table}}.{{form}}",
            table=COMPARISONS,
            form=["csv", "md", "tex"],
        ),
        *expand(
            f"{RESULTS}/tables/{{table}}.csv",
            table=["boundary", "leakage", "provenance"]
            + ["near_duplicates"] * COMPARED,
        ),
        *expand(
            f"{RESULTS}/tables/examples/{{model}}.csv",
            model=[*ON_OBJECTS, *ON_PROPOSALS],
        ),
        *(
            f"{RESULTS}/tables/proposals/{finder}_{split}.csv"
            for finder, split in proposals_used()
        ),
        *expand(f"{RESULTS}/tables/crf_search/{{system}}.csv", system=TUNED),
    ]


def figures():
    splits = sorted(
        {split for system in CONFIG.systems.values() for split in system.splits}
    )
    return [
        *expand(f"{RESULTS}/figures/grid/{{split}}.png", split=splits),
        *(
            f"{RESULTS}/figures/{figure}/{split}.png"
            for figure in ("class_bars", "weak_classes")
            for split in splits
            if in_class_bars(figure, split)
        ),
        *[f"{RESULTS}/figures/training.png"] * bool(TRAINED),
        *[f"{RESULTS}/figures/near_duplicates.png"] * COMPARED,
        *crf_figures(),
        *comparison_figures(splits),
        *expand(
            f"{RESULTS}/figures/examples/{{model}}.png",
            model=[*ON_OBJECTS, *ON_PROPOSALS],
        ),
        *(
            f"{RESULTS}/figures/proposals/{name}.png"
            for name in BOX_BY_BOX
            if CONFIG.systems[name].proposal_wise.proposals
        ),
    ]


def proposals_used():
    """(finder, split) pairs of the proposals that systems predict, sorted."""
    return sorted(
        {
            (CONFIG.systems[name].proposal_wise.proposals, split)
            for name in BOX_BY_BOX
            for split in CONFIG.systems[name].splits
            if CONFIG.systems[name].proposal_wise.proposals
        }
    )


def shown(split, section=CONFIG.figures.grid):
    """The systems of a split that a figure shows: those that its section of the config names, or all."""
    systems = [name for name, _ in scored(split)]
    chosen = [name for name in section.systems if name in systems]
    return chosen or systems


def grid_options(split):
    """The options that say which pictures of a split the grid shows: those of the config, or by its rules."""
    grid = CONFIG.figures.grid
    if ids := grid.ids.get(split):
        return f"--ids {' '.join(ids)}"
    return as_options(grid, leave_out=["ids", "systems"])


def in_class_bars(figure, split):
    """The systems of a split that a figure of class bars shows; none where there is nothing to compare."""
    systems = [name for name, _ in scored(split)]
    if figure == "class_bars":
        return [name for name in CONFIG.figures.class_bars.systems if name in systems]
    weak = CONFIG.figures.weak_classes
    if weak is None or weak.baseline not in systems:
        return []
    others = [name for name in weak.systems if name in systems]
    return [weak.baseline, *others] if others else []


def scored(split=None):
    """(system, split) pairs of the tables, in the config's order."""
    return [
        (name, s)
        for name, system in CONFIG.systems.items()
        for s in system.splits
        if split in (None, s)
    ]
