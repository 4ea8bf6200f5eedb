"""The tables of the report, in the order of the page. To add one: an entry here, and the function that it names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from segrepro.labels import VOC_CLASSES
from segrepro.report.columns import LEAKS, MIOU, SPLIT, SYSTEM, Column, Row, ends, percent
from segrepro.report.registry import MODEL, Entry, Scope, Wildcards
from segrepro.report.registry import SYSTEM as EACH_SYSTEM

if TYPE_CHECKING:
    from segrepro.plan import Plan

# Short names as the DeconvNet paper's table has them.
SHORT_NAMES = (
    "bkg",
    *("aero", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("table", "dog", "horse", "mbk", "person", "plant", "sheep", "sofa", "train", "tv"),
)
SHORT_CLASSES = dict(zip(VOC_CLASSES, SHORT_NAMES, strict=True))
SHARE = "leaks is the share of the scored pictures that were seen in the system's making."
SPEC = Column("spec", "spec", what="hash of all settings that the system's scores depend on")
DIFFERENCE = (
    percent("difference", "difference", printed="+.2f", interval="difference"),
    *ends("difference"),
)
VERDICT = (
    Column("p", what="two-sided, of this difference alone", decimals=4),
    Column("p_holm", what="the same after Holm's correction for all differences of the table", decimals=4),
    Column("verdict", "verdict", what="better or worse where p_holm is significant, else unclear"),
)


def class_column(name: str) -> Column:
    """Return the column of a class: its IoU."""
    return percent(name, SHORT_CLASSES.get(name, name), what=name, printed=".1f", bar=True)


def boundary_column(name: str) -> Column:
    """Return a column of ``boundary`` that follows from what was measured.

    That is ``trimap_5``, the mIoU within 5 pixels of the truth's boundaries; ``object_32``, the IoU of objects from
    32 x 32 pixels up to the next size; ``object_32_count``, their number; and the ends of intervals.
    """
    kind, _, what = name.rpartition("_")
    if what in ("low", "high", "count"):
        return Column(name, decimals=0 if what == "count" else 2)
    return percent(name, f"within {what} px" if kind == "trimap" else f"objects from {what} x {what}", interval=name)


def report2_column(method: str) -> Column:
    """Return the column of one of report 2's models; only what was measured on val is known to leak."""

    def share(row: Row, rows: Sequence[Row]) -> str:
        if row["origin"] != "measured" or row["criterion"] not in ("mIoU", "pixel accuracy"):
            return ""
        return next((other[method] for other in rows if other["criterion"] == "leaks"), "")

    return percent(method, method, leaks=share)


def _of(name: str, heading: str | None = None) -> Column:
    """Return a column that names a further system of the row, whose leaks stand in a column of their own."""
    return Column(name, heading, leaks=f"{name}_leaks")


def _predicted(plan: Plan) -> list[Wildcards]:
    """Return the proposals that systems predict by, and the datasets whose pictures these are of."""
    systems = (plan.config.systems[name] for name in plan.box_by_box)
    wanted = {(each.proposal_wise.proposals, split) for each in systems for split in each.splits}
    return [{"proposals": name, "dataset": split} for name, split in sorted(pair for pair in wanted if pair[0])]


_table = partial(Entry, kind="table", category="Tables", memory=1000, minutes=10)
_ENTRIES = (
    _table(
        name="miou",
        title="Measured and published mIoU, in percent",
        caption="Mean IoU of each system on each split with its bootstrap interval over the pictures, pixel "
        "accuracy, mean accuracy and frequency-weighted IoU, in percent, beside what papers and reports "
        "state. " + SHARE,
        made_by="segrepro.report.results:miou_table",
        needs=("metrics", "published?", "systems?", "statistics?", "leakage?", "measured_on"),
        columns=(
            *(SYSTEM, SPLIT, LEAKS, percent("miou", "mIoU", interval="miou", bar=True)),
            percent("pixel_accuracy", "pixel acc."),
            percent("mean_accuracy"),
            percent("fw_iou", what="frequency-weighted IoU"),
            percent("published_miou", "published mIoU"),
            percent("published_pixel_accuracy"),
            Column("published_source", "source"),
            percent("difference", "difference", what="measured minus published mIoU, percentage points, as printed"),
            Column("pictures", "pictures"),
            Column("classes", what="number of classes that occur in the truth"),
            *(*ends("miou"), SPEC),
        ),
        printed=(
            *("system", "split", "miou", "pixel_accuracy"),
            *("published_miou", "difference", "published_source", "pictures", "spec"),
        ),
    ),
    _table(
        name="reproduction",
        title="Does this run agree with other seeds, and with what is published? mIoU in percent",
        caption="For every system, whether its mIoU lies where trainings with other seeds lie (spread), and, for "
        "the experiment as published, whether it agrees with the published value (reproduced) within an "
        "interval of pictures and seeds.",
        made_by="segrepro.report.reproduction:reproduction_table",
        needs=("metrics", "published?", "systems?", "statistics", "leakage?", "seed_deviation", "measured_on"),
        columns=(
            *(SYSTEM, SPLIT, LEAKS, MIOU),
            Column("seeds", what="trainings with other seeds", decimals=0),
            percent("spread_mean", "other seeds", interval="spread"),
            *ends("spread"),
            Column("spread", "", what="whether mIoU lies where one further training does 95 times of 100"),
            percent("published_miou", "published"),
            Column("published_source"),
            *DIFFERENCE,
            Column("reproduced", "", what="whether the interval of the difference holds zero"),
            Column("why", what="what the published experiment does otherwise"),
        ),
    ),
    _table(
        name="report2",
        title="Report 2: published and measured, in percent",
        caption="The measures of report 2 as rows, its models as columns: published there, and measured here. The "
        "row leaks has the share of the pictures of VOC's val that were seen in the making of each system "
        "measured.",
        made_by="segrepro.report.published:report2_table",
        needs=("metrics", "systems?", "leakage?", "measured_on"),
        columns=(Column("criterion"), Column("origin")),
        others=report2_column,
    ),
    _table(
        name="per_class_iou",
        title="IoU of each class, in percent",
        caption="IoU of each class, in percent. Empty where the truth of a split has no such class. " + SHARE,
        made_by="segrepro.report.results:per_class_table",
        needs=("metrics", "leakage?", "measured_on"),
        columns=(SYSTEM, SPLIT, LEAKS),
        others=class_column,
    ),
    _table(
        name="crf",
        title="What a CRF changes: mIoU before and after, in percent",
        caption="mIoU of systems before and after their fully connected CRF, and the gain in percentage points "
        "with its paired bootstrap interval over the pictures. " + SHARE,
        made_by="segrepro.report.difference_tables:crf_table",
        needs=("metrics", "systems", "statistics", "leakage?", "measured_on"),
        columns=(
            *(SYSTEM, _of("refines", "refines"), SPLIT, LEAKS, Column("refines_leaks")),
            *(percent("before", "before"), percent("after", "after")),
            *(percent("gain", "gain", printed="+.2f", interval="gain"), *ends("gain"), *VERDICT),
        ),
    ),
    _table(
        name="ablation",
        title="Ablations: difference in mIoU to a baseline, in percentage points",
        caption="What a change of a setting does: the difference in mIoU to the baseline of each question, with "
        "its paired bootstrap interval over the pictures. note says what else differs, where more than one "
        "thing does. " + SHARE,
        made_by="segrepro.report.difference_tables:ablation_table",
        needs=("metrics", "systems", "statistics", "leakage?", "measured_on"),
        columns=(
            *(Column("ablation"), SPLIT, SYSTEM, _of("baseline"), LEAKS, Column("baseline_leaks"), MIOU),
            *(*DIFFERENCE, *VERDICT, Column("note")),
        ),
    ),
    _table(
        name="paired",
        title="Differences in mIoU between systems on the same pictures, in percentage points",
        caption="Differences in mIoU between two systems on the same pictures, with a bootstrap interval over the "
        "pictures. The columns of leaks have the share of the scored pictures that were seen in the making "
        "of either.",
        made_by="segrepro.report.difference_tables:paired_table",
        needs=("metrics", "statistics", "leakage?", "measured_on"),
        columns=(
            *(SPLIT, _of("first"), _of("second"), Column("first_leaks"), Column("second_leaks")),
            *(percent("first_miou"), percent("second_miou"), *DIFFERENCE, *VERDICT),
        ),
    ),
    _table(
        name="voc2012_test",
        title="VOC 2012 test: IoU of each class and their mean, in percent",
        caption="VOC 2012 test, as published; our rows where the evaluation server's answer has been entered in "
        "the config.",
        made_by="segrepro.report.published:voc_test_table",
        needs=("systems?",),
        columns=(
            *(Column("method", "method"), Column("source", "source"), Column("reference"), Column("system")),
            *map(class_column, VOC_CLASSES),
            percent("miou", "mean", printed=".1f", bar=True),
            Column("note"),
        ),
    ),
    _table(
        name="leakage",
        title="Leakage",
        caption="Of the pictures that each system is scored on, how many it or an ancestor has seen in training, "
        "and through whom.",
    ),
    _table(
        name="boundary",
        title="Near boundaries and by object size: IoU in percent",
        caption="Each system near the boundaries of the truth and on objects by size, in percent, each value with "
        "its bootstrap interval over the pictures: mIoU, boundary IoU, mIoU within some pixels of the "
        "boundaries, and IoU of small and large objects with their number. " + SHARE,
        made_by="segrepro.report.fine_grained:boundary_table",
        needs=("fine_grained", "leakage?", "intervals", "measured_on"),
        columns=(
            *(SYSTEM, SPLIT, LEAKS, percent("miou", "mIoU", interval="miou", bar=True), *ends("miou")),
            *(percent("boundary_iou", "boundary IoU", interval="boundary_iou"), *ends("boundary_iou")),
        ),
        others=boundary_column,
        memory=2000,
        minutes=20,
    ),
    _table(
        name="crf_search",
        title="Search for a CRF's parameters",
        caption="The search for a CRF's parameters: mIoU of the system without a CRF (trial 0) and with each "
        "trial's, in percent, on the tuning pictures of split, which are not those that the tables score. "
        "leaks is the share of these pictures that the system itself was trained on: there its mIoU is "
        "flattered, and only the gains can be compared.",
        scope=EACH_SYSTEM,
        wanted=lambda plan: [{"system": name} for name in plan.tuned],
    ),
    _table(
        name="examples",
        title="Training examples",
        caption="Training sets of a model's own (DeconvNet's boxes, repeated classes): how many examples there are "
        "per class.",
        scope=MODEL,
        wanted=lambda plan: [{"model": name} for name in plan.own_sets],
    ),
    _table(
        name="near_duplicates",
        title="Near-duplicates of COCO and VOC",
        caption="Pairs of pictures of COCO and of VOC or SBD whose perceptual hashes are close: ids cannot tell "
        "these apart.",
        wanted=lambda plan: [{}] * plan.is_compared,
    ),
    _table(
        name="proposals",
        title="Proposals",
        caption="DeconvNet's object proposals: the recall of the objects' boxes.",
        scope=Scope("{proposals}_{dataset}", _predicted, lambda *_: []),
    ),
    _table(
        name="provenance",
        title="Where each number comes from",
        caption="Where each number comes from: hashes of config, code and data (12 digits), commit, and whether "
        "the code that made a system's models, and the code that predicted its scores, is the code that "
        "scored it (same, older, unknown).",
    ),
)

TABLES = {entry.name: entry for entry in _ENTRIES}
