"""The tables of every system: mIoU beside what is reported, and the IoU of each class."""

from segrepro.evaluation.leakage import Marks
from segrepro.evaluation.statistics import Statistics
from segrepro.labels import VOC_CLASSES
from segrepro.report.declared import Declared
from segrepro.report.numbers import interval_columns, leak_mark, or_dash, with_interval
from segrepro.report.printed import LEAK_NOTE, Part, Table
from segrepro.report.tables import MIOU_COLUMNS, Metrics, Reported, miou_rows, per_class_rows

# Short names as the DeconvNet paper's table has them.
SHORT_NAMES = (
    "bkg",
    *("aero", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("table", "dog", "horse", "mbk", "person", "plant", "sheep", "sofa", "train", "tv"),
)
SHORT_CLASSES = dict(zip(VOC_CLASSES, SHORT_NAMES, strict=True))


def miou_table(
    metrics: list[Metrics],
    reported: Reported,
    declared: Declared,
    *,
    marks: Marks | None = None,
    statistics: Statistics | None = None,
) -> Table:
    """Build ``miou``: measured beside reported, the difference, the interval, the leak mark, the hash of the spec.

    Args:
        metrics: contents of metrics files, in row order.
        reported: what papers and reports state.
        declared: for the hashes.
        marks: the audit's shares of leaked pictures; None where there was no audit.
        statistics: the intervals; None leaves their columns empty.
    """
    rows = miou_rows(metrics, reported, marks)
    cells = []
    for row in rows:
        estimate = statistics.miou(row["system"], row["split"]) if statistics else None
        row |= interval_columns("miou", estimate) | {"spec": declared.specs.get(row["system"], "")}
        measured = with_interval(estimate) if estimate else row["miou"]
        cells.append(
            [
                *(row["system"] + leak_mark(row["leaks"]), row["split"], measured, row["pixel_accuracy"]),
                *(or_dash(row[key]) for key in ("reported_miou", "difference", "reported_source")),
                *(row["pictures"], row["spec"]),
            ]
        )
    headers = (
        *("system", "split", f"mIoU{_interval_text(statistics)}", "pixel acc."),
        *("reported mIoU", "difference", "source", "pictures", "spec"),
    )
    return Table(
        name="miou",
        title="Measured and reported mIoU, in percent",
        columns=(*MIOU_COLUMNS, "miou_low", "miou_high", "spec"),
        rows=rows,
        parts=[Part("", headers, cells)],
        notes=[LEAK_NOTE, *statistics_notes(statistics)],
    )


def _interval_text(statistics: Statistics | None) -> str:
    return f" [{100 * statistics.confidence:g} %]" if statistics else ""


def statistics_notes(statistics: Statistics | None) -> list[str]:
    """Return the line that says what the intervals are; none where there are none."""
    if statistics is None:
        return []
    return [
        f"In brackets: {100 * statistics.confidence:g} % {statistics.method} bootstrap intervals over pictures "
        f"({statistics.resamples} resamples). They say nothing of what another training would change."
    ]


def per_class_table(metrics: list[Metrics], *, marks: Marks | None = None) -> Table:
    """Build ``per_class_iou``: one row a system and split, one column a class."""
    columns, rows = per_class_rows(metrics, marks)
    classes = columns[3:]
    cells = [
        [row["system"] + leak_mark(row["leaks"]), row["split"], *(or_dash(one_decimal(row[name])) for name in classes)]
        for row in rows
    ]
    return Table(
        name="per_class_iou",
        title="IoU of each class, in percent",
        columns=columns,
        rows=rows,
        parts=[Part("", ["system", "split", *(SHORT_CLASSES.get(name, name) for name in classes)], cells)],
        notes=[LEAK_NOTE],
    )


def one_decimal(number: str) -> str:
    """Print a number of two decimals with one, as tables of classes do; empty stays empty."""
    return f"{float(number):.1f}" if number else ""
