"""Published results: the data files beside this module, each number with its source, and the tables made of them.

``published.csv``, in percent: ``method`` as its source calls it, ``split`` in this project's words, ``miou``,
``pixel_accuracy`` (empty where not stated), ``source``, ``reference`` (where to find it), ``system`` (the entry of
config.yaml that does the same; empty for none), ``note``. ``published_per_class.csv``: the IoU of each class, where
known; its columns ``method``, ``split`` and ``source`` are those of a row of the other file.
"""

import argparse
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import pandas as pd

from segrepro.report.columns import NOTHING, Column
from segrepro.report.measured_on import PICTURES
from segrepro.report.printed import Part, Table, csv_rows, named
from segrepro.report.results import notes, read_results
from segrepro.report.systems import Systems, read_systems
from segrepro.report.tables import report2_column

REPORT2 = "report 2"
TEST, VAL = "voc_test", "voc_val"
THIS_RUN = "this run, VOC server"


def published() -> pd.DataFrame:
    """Read the data files, in their order: text as printed, empty where nothing is known."""
    results, per_class = map(_read, ("published.csv", "published_per_class.csv"))
    return results.merge(per_class, how="left", on=["method", "split", "source"]).fillna("")


def _read(name: str) -> pd.DataFrame:
    with resources.files("segrepro.report").joinpath(name).open(encoding="utf-8") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


def report2_table(args: argparse.Namespace) -> Table:
    """Build ``report2`` as report 2 has it, criteria as rows and models as columns: what it says, what was measured.

    In the CSV a last row, ``leaks``, has the share of the pictures of val that each system has seen.
    """
    said = published()
    said = said[said["source"] == REPORT2]
    systems = dict(zip(said["method"], said["system"], strict=True))
    results = read_results(args)
    on_val = results[results["split"] == VAL].set_index("system")
    answers = (read_systems(args.systems) if args.systems else Systems()).answers
    lines = []
    for criterion, split, key, measured in (
        ("mIoU", VAL, "miou", on_val["miou"]),
        ("pixel accuracy", VAL, "pixel_accuracy", on_val["pixel_accuracy"]),
        ("test mIoU", TEST, "miou", {name: answer.miou for name, answer in answers.items()}),
    ):
        of_split = said[said["split"] == split].set_index("method")[key].to_dict()
        lines.append({"criterion": criterion, "origin": "published"} | of_split)
        lines.append({"criterion": criterion, "origin": "measured"} | _by_method(systems, measured))
    lines.append({"criterion": "leaks", "origin": "measured"} | _by_method(systems, on_val["leaks"]))
    rows = pd.DataFrame(lines, columns=["criterion", "origin", *systems])
    others, ours = "", ", on VOC 2012 val"
    if args.measured_on in PICTURES:
        others, ours = " on VOC 2012 val", f" on {PICTURES[args.measured_on]},"
    measured_by = (
        "Measured by the systems " + ", ".join(systems.values()) + ", in this order. Test mIoU is the VOC server's "
        "answer, where the config has it."
    )
    return Table(
        rows,
        notes(args.measured_on, measured_by),
        title=f"Report 2: published{others} and measured{ours} unless said, in percent",
        parts=[Part("", ("assessment criterion", "", *systems), _printed(rows, systems))],
    )


def _printed(rows: pd.DataFrame, methods: Iterable[str]) -> list[list[str]]:
    """Return the rows but for the leaks, with the name of a criterion in the first of its two."""
    columns = [Column("criterion"), Column("origin"), *map(report2_column, methods)]
    *lines, _ = texts = csv_rows(columns, rows)
    return [
        [line["criterion"] * (line["origin"] == "published"), line["origin"]]
        + [named(column, line, texts) for column in columns[2:]]
        for line in lines
    ]


def _by_method(systems: Mapping[str, str], values: Any) -> dict[str, Any]:
    return {method: values.get(system) for method, system in systems.items()}


def voc_test_table(args: argparse.Namespace) -> Table:
    """Build ``voc2012_test``: the DeconvNet paper's comparison and other published results, then this run's own."""
    rows = published()
    rows = rows[rows["split"] == TEST]
    answers = (read_systems(args.systems) if args.systems else Systems()).answers
    answered = [
        {"method": name, "source": THIS_RUN, "reference": answer.url, "system": name, **answer.per_class}
        | {"miou": answer.miou}
        for name, answer in answers.items()
    ]
    own = "No row of this run: enter the VOC server's answer as `server` of a system in the config."
    if answers:
        own = "Rows of this run are answers of the VOC server, from `server` of a system in the config."
    others = (
        f"{NOTHING} not known. Published class values agree with their published mean; compare them with the paper "
        "before you cite them."
    )
    return Table(pd.concat([rows, pd.DataFrame(answered)]), [own, others])
