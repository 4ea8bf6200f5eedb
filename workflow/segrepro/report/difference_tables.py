"""The tables of differences between systems, each with its paired interval: CRFs, ablations, and all pairs.

A table makes many comparisons, of which some come out by chance: a difference is called better or worse where it is
significant after Holm's correction for all differences of its table, else unclear. Intervals are of one difference.
"""

import argparse

import numpy as np
import pandas as pd

from segrepro.evaluation.statistics import Statistics, holm, read_statistics
from segrepro.report.columns import LEAKS, MIOU, SYSTEM, number
from segrepro.report.printed import Part, Table, csv_rows, named
from segrepro.report.results import notes, read_results
from segrepro.report.systems import read_systems

VERDICTS = {1: "better", 0: "unclear", -1: "worse"}


def crf_table(args: argparse.Namespace) -> Table:
    """Build ``crf``: mIoU before and after each CRF, its gain and whether it is one."""
    results, statistics = _by_split(args), read_statistics(args.statistics)
    crfs = pd.DataFrame(read_systems(args.systems).crfs.items(), columns=["system", "refines"])
    rows = crfs.merge(results, on="system").merge(_as(results, "refines"), on=["refines", "split"])
    rows = rows.rename(columns={"miou": "after", "refines_miou": "before"})
    rows, verdicts = _compare(rows, "system", "refines", "gain", statistics)
    return Table(rows, notes(args.measured_on, verdicts.format("Better or worse"), statistics=statistics))


def ablation_table(args: argparse.Namespace) -> Table:
    """Build ``ablation``: for each question of the config, its note, the baseline and what each system adds to it."""
    results, statistics = _by_split(args), read_statistics(args.statistics)
    questions = read_systems(args.systems).ablations
    asked = pd.DataFrame(
        [
            (number, question.name, question.baseline, system)
            for number, question in enumerate(questions)
            for system in (question.baseline, *question.systems)
        ],
        columns=["question", "ablation", "baseline", "system"],
    )
    rows = asked.merge(results, on="system").merge(_as(results, "baseline"), on=["baseline", "split"])
    rows = rows[rows.groupby(["question", "split"])["system"].transform("size") > 1]  # something beside the baseline
    rows = rows.sort_values(["question", "split_number"], kind="stable")
    rows, verdicts = _compare(rows, "system", "baseline", "difference", statistics)
    told = {question.name: question.note for question in questions if question.note}
    is_baseline = rows["system"] == rows["baseline"]
    rows["note"] = rows["ablation"].map(told).where(is_baseline)
    own = [f"{name}: {note}." for name, note in told.items() if name in set(rows["ablation"])]
    return Table(
        rows,
        notes(args.measured_on, *own, verdicts.format("Better or worse"), statistics=statistics),
        printed={"difference": np.where(is_baseline, "baseline", "")},
        parts_by="ablation",
    )


def paired_table(args: argparse.Namespace) -> Table:
    """Build ``paired``: every two systems of a split; printed as a matrix, row minus column."""
    results, statistics = _by_split(args), read_statistics(args.statistics)
    first, second = (_as(results, name).reset_index(names=f"{name}_place") for name in ("first", "second"))
    rows = first.merge(second, on="split").query("first_place < second_place")
    rows, verdicts = _compare(rows, "first", "second", "difference", statistics)
    note = "Row minus column. " + verdicts.format("* (in the CSV: better or worse)")
    parts = [_matrix(split, scored, rows) for split, scored in results.groupby("split", sort=False) if len(scored) > 1]
    return Table(rows, notes(args.measured_on, note, statistics=statistics), parts=parts or [Part("", (), [])])


def _by_split(args: argparse.Namespace) -> pd.DataFrame:
    """Return the results by splits, which are in the order of the metrics."""
    rows = read_results(args)
    rows["split_number"] = pd.factorize(rows["split"])[0]
    return rows.sort_values("split_number", kind="stable", ignore_index=True)


def _as(results: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the systems in a column of this name, with their splits, mIoU and leaks."""
    columns = {"system": name, "split": "split", "leaks": f"{name}_leaks", "miou": f"{name}_miou"}
    return results[list(columns)].rename(columns=columns)


def _compare(
    rows: pd.DataFrame, first: str, second: str, name: str, statistics: Statistics
) -> tuple[pd.DataFrame, str]:
    """Add the difference of the systems in two columns, its interval, p-values and verdict; the same system has none.

    Also return what the table says of its verdicts, with ``{}`` for how it shows them.
    """
    rows = rows.reset_index(drop=True)
    others = rows.loc[rows[first] != rows[second], [first, second, "split"]]
    found = [statistics.difference(*pair).model_dump() for pair in others.itertuples(index=False)]
    found = pd.DataFrame(found, columns=["value", "low", "high", "p"], index=others.index, dtype=float)
    columns = 100 * found[["value", "low", "high"]].set_axis([name, f"{name}_low", f"{name}_high"], axis=1)
    adjusted = holm([None if np.isnan(p) else p for p in found["p"]])
    columns["p"], columns["p_holm"] = found["p"], pd.Series(adjusted, found.index, dtype=float)
    signs = np.sign(found["value"]).where(columns["p_holm"] < 1 - statistics.confidence, 0)
    columns["verdict"] = signs.map(VERDICTS)
    note = (
        f"{{}}: significant at {100 * (1 - statistics.confidence):.2g} % after Holm's correction for the {len(found)} "
        "differences of this table; otherwise unclear. The intervals are not corrected: each holds for its difference "
        "alone, so one that excludes zero may stand beside an unclear verdict."
    )
    return rows.join(columns), note


def _matrix(split: str, scored: pd.DataFrame, rows: pd.DataFrame) -> Part:
    """Return the differences of a split below the diagonal, with stars for those that are clear."""
    of_split = rows[rows["split"] == split]
    stars = np.where(of_split["verdict"] == VERDICTS[0], "", "*")
    below = zip(of_split["second"], of_split["first"], of_split["difference"], stars, strict=True)
    differences = {(row, column): number(-value, "+.1f") + star for row, column, value, star in below}
    systems = list(scored["system"])
    lines = csv_rows([SYSTEM, LEAKS, MIOU], scored)
    cells = [
        [str(place), named(SYSTEM, line, lines), line["miou"]]
        + [differences.get((line["system"], column), "") for column in systems[:-1]]
        for place, line in enumerate(lines, start=1)
    ]
    return Part(split, ("", "system", "mIoU", *map(str, range(1, len(systems)))), cells)
