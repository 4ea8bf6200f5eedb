"""The table that says of every system whether this run agrees with what is known of it.

Two things are known: what other seeds gave (``spread.csv`` beside this module, measured at sample scale by
``benchmarks/spread.py``), and what papers, reports and releases state.

``spread.csv`` has a row per system and split: ``scale``, ``settings`` (hash of all settings but the seed that the
system's scores depend on), ``seeds`` (how many trainings), ``mean`` and ``deviation`` of mIoU in percent (of a sample:
divided by ``seeds - 1``), ``low`` and ``high`` (the smallest and the largest), ``commit`` (of the code that made them).
"""

import argparse
from importlib import resources

import numpy as np
import pandas as pd
from scipy.stats import t as student

from segrepro.config.data import PicturesKind
from segrepro.evaluation.statistics import read_statistics
from segrepro.report.measured_on import COMPARABLE, NOTES, PUBLISHED
from segrepro.report.printed import LEAK_NOTE, Table
from segrepro.report.results import PAIR, read_results

SPREAD_FILE = "spread.csv"
SPREAD_COLUMNS = ("scale", "system", "split", "settings", "seeds", "mean", "deviation", "low", "high", "commit")
SPREAD_TYPES = dict.fromkeys(("seeds", "mean", "deviation"), float) | dict.fromkeys((*PAIR, "settings", "commit"), str)


def reproduction_table(args: argparse.Namespace) -> Table:
    """Build ``reproduction``: each system beside the spread over seeds, and beside what is published of it."""
    spreads = read_spreads()
    rows = compare(read_results(args), spreads, seed_deviation=args.seed_deviation, measured_on=args.measured_on)
    verdicts = rows["reproduced"] + rows["why"].map(": {}".format, na_action="ignore").fillna("")
    notes = []
    if len(spreads):
        notes.append(
            "Other seeds: mean of trainings with the same settings and other seeds on one machine (at commit "
            f"{', '.join(sorted(spreads['commit'].unique()))}), and the interval that holds one further training, or "
            "the same seed on another kind of processor, 95 times of 100: of twenty systems about one lies outside by "
            "chance."
        )
    if args.measured_on in COMPARABLE:
        confidence = read_statistics(args.statistics).confidence
        notes.append(
            f"Difference: measured minus published, with a {100 * confidence:g} % interval of pictures and seeds; "
            "reproduced where it holds zero. Where the spread over seeds is not measured, its standard deviation is "
            f"taken to be {args.seed_deviation:g} points; weights that are not trained here have none."
        )
    if args.measured_on in NOTES:
        notes.append(NOTES[args.measured_on])
    return Table(rows, [*notes, LEAK_NOTE], printed={"reproduced": verdicts.fillna("")})


def read_spreads() -> pd.DataFrame:
    """Read ``spread.csv``, without the columns that no table uses."""
    with resources.files("segrepro.report").joinpath(SPREAD_FILE).open(encoding="utf-8") as stream:
        return pd.read_csv(stream, usecols=list(SPREAD_TYPES), dtype=SPREAD_TYPES)


def compare(
    results: pd.DataFrame, spreads: pd.DataFrame, *, seed_deviation: float, measured_on: PicturesKind = PUBLISHED
) -> pd.DataFrame:
    """Compare each result with other seeds and with what is published.

    Args:
        results: from `segrepro.report.results.join`, with intervals and the facts of `segrepro.report.systems`.
        spreads: as in ``spread.csv``.
        seed_deviation: standard deviation of mIoU over seeds, percentage points, of systems without a measured one.
        measured_on: only networks as published, on the published pictures, are compared with what is published.

    Returns:
        The results with the further columns of the table. ``spread_low`` to ``spread_high`` is Student's prediction
        interval: where one further training lies with a probability of 95 %. The interval of the difference joins two
        parts, which are independent, as the root of their summed squares: the pictures' (the bootstrap interval), and
        the seeds', where both numbers are of one training each.
    """
    rows = results.merge(spreads, how="left", on=[*PAIR, "settings"])
    miou, seeds = rows["miou"], rows["seeds"]
    half = student.ppf(0.975, seeds - 1) * rows["deviation"] * np.sqrt(1 + 1 / seeds)
    rows = rows.assign(spread_mean=rows["mean"], spread_low=rows["mean"] - half, spread_high=rows["mean"] + half)
    outside = [seeds.isna(), miou < rows["spread_low"], miou > rows["spread_high"]]
    rows["spread"] = np.select(outside, ["not measured", "below", "above"], "within")

    stated = rows["published_miou"].astype(float)
    if measured_on not in COMPARABLE:
        return rows.assign(reproduced=np.where(stated.notna(), "not comparable", ""), why=None)
    rows["difference"] = difference = miou - stated
    deviation = rows["deviation"].fillna(seed_deviation).where(seeds.notna() | rows["trained"].ne(False), 0.0)
    of_seeds = 1.96 * np.sqrt(2) * deviation
    rows["difference_low"] = low = difference - np.hypot(miou - rows["miou_low"], of_seeds)
    rows["difference_high"] = high = difference + np.hypot(rows["miou_high"] - miou, of_seeds)
    rows["why"] = rows["published_differs"].where(stated.notna() & rows["published_differs"].ne(""))
    verdicts = {"another experiment": rows["why"].notna(), "": low.isna(), "no, below": high < 0, "no, above": low > 0}
    return rows.assign(reproduced=np.select(list(verdicts.values()), list(verdicts), "yes"))
