"""What was measured, beside its intervals, its leaks and what papers and reports state; the tables of just this."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import RootModel

from segrepro.config.data import PicturesKind
from segrepro.config.tables import Percent
from segrepro.evaluation.leakage import Marks, leaking_share, read_marks, share_text
from segrepro.evaluation.metrics import MEASURES, NEEDED, read_metrics
from segrepro.evaluation.statistics import Statistics, read_statistics
from segrepro.json_files import read_model
from segrepro.labels import label_space
from segrepro.report.measured_on import NOTES
from segrepro.report.printed import LEAK_NOTE, Table
from segrepro.report.systems import Systems, read_systems
from segrepro.schema import Section

PAIR = ["system", "split"]


class Stated(Section):
    """What is published of a system on a split, in percent; the config's own `Published` demands more."""

    miou: Percent | None = None
    pixel_accuracy: Percent | None = None
    source: str | None = None
    differs: str | None = None


class Published(RootModel[dict[str, dict[str, Stated]]]):
    """What is published: system -> split -> numbers."""


def read_published(path: Path) -> Published:
    """Read ``{system: {split: {"miou": 76.42, "pixel_accuracy": 94.45, "source": "report 2"}}}``; raise `UserError`."""
    return read_model(path, Published, "give percent: system, then split, then miou, pixel_accuracy, source, differs")


def join(
    metrics: list[dict[str, Any]],
    *,
    published: Published | None = None,
    systems: Systems | None = None,
    marks: Marks | None = None,
    statistics: Statistics | None = None,
) -> pd.DataFrame:
    """Join metrics with what is known of their systems: one row per system and split, in their order; percent.

    Returns:
        What the metrics files have, ``leaks`` (as text), ``published_miou``, ``published_pixel_accuracy``,
        ``published_source``, ``published_differs``, ``spec``, ``settings``, ``trained``, NaN where not known; with
        statistics ``miou_low`` and ``miou_high``.

    Raises:
        UserError: a system was not audited, or has no interval.
    """
    rows = pd.DataFrame(metrics, columns=NEEDED)
    rows[list(MEASURES)] *= 100
    pairs = list(zip(rows["system"], rows["split"], strict=True))
    rows["leaks"] = ["" if marks is None else share_text(leaking_share(marks, *pair)) for pair in pairs]
    if statistics:
        intervals = pd.DataFrame([statistics.miou(*pair).model_dump() for pair in pairs]).astype(float)
        rows[["miou_low", "miou_high"]] = 100 * intervals[["low", "high"]]
    facts = [(each.name, each.spec, each.settings, each.trained) for each in (systems or Systems()).systems]
    columns = ["system", "spec", "settings", "trained"]
    rows = rows.merge(pd.DataFrame(facts, columns=columns), how="left", on="system")
    numbers = published.root if published else {}
    stated = [
        {"system": system, "split": split, **{f"published_{key}": value for key, value in each.model_dump().items()}}
        for system, splits in numbers.items()
        for split, each in splits.items()
    ]
    columns = [*PAIR, *(f"published_{key}" for key in Stated.model_fields)]
    return rows.merge(pd.DataFrame(stated, columns=columns), how="left", on=PAIR)


def read_results(args: argparse.Namespace) -> pd.DataFrame:
    """Read what the options of a table name, those of them that it has; see `join`."""
    readers = {"published": read_published, "systems": read_systems, "statistics": read_statistics}
    files = {name: getattr(args, name, None) for name in (*readers, "leakage")}
    given = {name: read(files[name]) for name, read in readers.items() if files[name]}
    marks = read_marks(files["leakage"]) if files["leakage"] else None
    return join(read_metrics(args.metrics), marks=marks, **given)


def miou_table(args: argparse.Namespace) -> Table:
    """Build ``miou``: measured beside published."""
    rows = add_difference(read_results(args))
    statistics = read_statistics(args.statistics) if args.statistics else None
    headings = {"miou": f"mIoU [{100 * statistics.confidence:g} %]"} if statistics else {}
    return Table(rows, notes(args.measured_on, statistics=statistics), headings=headings)


def add_difference(rows: pd.DataFrame) -> pd.DataFrame:
    """Add ``difference``: the measured minus the published mIoU, both as printed, so that a reader can check it."""
    printed = rows[["miou", "published_miou"]].astype(float).map("{:.2f}".format).astype(float)
    return rows.assign(difference=printed["miou"] - printed["published_miou"])


def per_class_table(args: argparse.Namespace) -> Table:
    """Build ``per_class_iou``: the classes of all label spaces as columns, empty where the truth has no such class."""
    rows = read_results(args)
    spaces = rows["label_space"].unique()
    classes = dict.fromkeys(name for space in spaces for name in label_space(space).classes if name is not None)
    ious = 100 * pd.DataFrame(list(rows["per_class_iou"])).reindex(columns=list(classes)).astype(float)
    return Table(pd.concat([rows[[*PAIR, "leaks"]], ious], axis=1), notes(args.measured_on))


def notes(measured_on: PicturesKind, *own: str, statistics: Statistics | None = None) -> list[str]:
    """Return the lines below a table of measured numbers: what they are of, its own, the mark, the intervals."""
    intervals = statistics and (
        f"In brackets: {100 * statistics.confidence:g} % {statistics.method} bootstrap intervals over pictures "
        f"({statistics.resamples} resamples). They say nothing of what another training would change."
    )
    return list(filter(None, [NOTES.get(measured_on), *own, LEAK_NOTE, intervals]))
