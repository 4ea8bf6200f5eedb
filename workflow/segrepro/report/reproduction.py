"""The table that says of every system whether this run agrees with what is known of it.

Two things are known: what other seeds gave (``spread.csv`` beside this module, measured at sample scale by
``benchmarks/spread.py``), and what papers, reports and releases state (`Reported`).

``spread.csv`` has a row per system and split: ``scale``, ``settings`` (hash of all settings but the seed that the
system's scores depend on), ``seeds`` (how many trainings), ``mean`` and ``deviation`` of mIoU in percent, ``low`` and
``high`` (the smallest and the largest), ``commit`` (of the code that made them).
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from math import hypot, sqrt
from pathlib import Path

from scipy.stats import t as student

from segrepro.config.data import PicturesKind
from segrepro.evaluation.leakage import Marks
from segrepro.evaluation.statistics import Estimate, Statistics
from segrepro.report.declared import Declared
from segrepro.report.measured_on import NOTES, PUBLISHED
from segrepro.report.numbers import gain, interval_text, leak_mark, or_dash
from segrepro.report.printed import LEAK_NOTE, Part, Table
from segrepro.report.tables import Metrics, Reported, leaks, percent

SPREAD_FILE = "spread.csv"
SPREAD_COLUMNS = ("scale", "system", "split", "settings", "seeds", "mean", "deviation", "low", "high", "commit")
COLUMNS = (
    *("system", "split", "leaks", "miou", "seeds", "spread_mean", "spread_low", "spread_high", "spread"),
    *("reported_miou", "reported_source", "difference", "difference_low", "difference_high", "reproduced", "why"),
)


@dataclass(frozen=True)
class Spread:
    """What trainings with several seeds gave, in percent of mIoU.

    Attributes:
        seeds: how many trainings.
        mean: of them.
        deviation: their standard deviation (of a sample: divided by ``seeds - 1``).
        commit: of the code that made them.
    """

    seeds: int
    mean: float
    deviation: float
    commit: str

    @property
    def interval(self) -> tuple[float, float]:
        """Where one further training lies with a probability of 95 %: Student's prediction interval."""
        half = student.ppf(0.975, self.seeds - 1) * self.deviation * sqrt(1 + 1 / self.seeds)
        return self.mean - half, self.mean + half


Spreads = Mapping[tuple[str, str, str], Spread]


def read_spreads(path: Path | None = None) -> Spreads:
    """Read the measured spreads; the key is (system, split, hash of the settings without the seed)."""
    source = path or resources.files("segrepro.report").joinpath(SPREAD_FILE)
    with source.open(newline="", encoding="utf-8") as stream:
        return {
            (row["system"], row["split"], row["settings"]): Spread(
                int(row["seeds"]), float(row["mean"]), float(row["deviation"]), row["commit"]
            )
            for row in csv.DictReader(stream)
        }


def reproduction_table(
    metrics: list[Metrics],
    reported: Reported,
    declared: Declared,
    spreads: Spreads,
    statistics: Statistics,
    *,
    seed_deviation: float,
    marks: Marks | None = None,
    measured_on: PicturesKind = PUBLISHED,
) -> Table:
    """Build ``reproduction``: each system beside the spread over seeds, and beside what is reported of it.

    Args:
        metrics: contents of metrics files, in row order.
        reported: what papers and reports state.
        declared: for the hashes of settings.
        spreads: from `read_spreads`.
        statistics: the intervals over pictures.
        seed_deviation: standard deviation of mIoU over seeds, percentage points, of systems without a measured one.
        marks: the audit's shares of leaked pictures; None where there was no audit.
        measured_on: only the experiment as published is compared with what is reported.
    """
    rows, cells = [], []
    for entry in metrics:
        system, split = entry["system"], entry["split"]
        spread = spreads.get((system, split, declared.settings.get(system, "")))
        row = {"system": system, "split": split, "leaks": leaks(entry, marks), "miou": percent(entry["miou"])}
        row |= _against_seeds(100 * entry["miou"], spread)
        deviation = spread.deviation if spread else 0.0 if system in declared.untrained else seed_deviation
        stated = reported.get(system, {}).get(split, {})
        row |= _against_reported(statistics.miou(system, split), stated, deviation, measured_on)
        rows.append(row)
        cells.append(_cells(row))
    return Table(
        name="reproduction",
        title="Does this run agree with other seeds, and with what is reported? mIoU in percent",
        columns=COLUMNS,
        rows=rows,
        parts=[Part("", ("system", "split", "mIoU", "other seeds", "", "reported", "difference", ""), cells)],
        notes=[*_notes(spreads, statistics, seed_deviation, measured_on), LEAK_NOTE],
    )


def _against_seeds(miou: float, spread: Spread | None) -> dict[str, str]:
    if spread is None:
        return {"spread": "not measured"}
    low, high = spread.interval
    verdict = "within" if low <= miou <= high else "below" if miou < low else "above"
    numbers = {"spread_mean": spread.mean, "spread_low": low, "spread_high": high}
    return {"seeds": str(spread.seeds), "spread": verdict} | {key: f"{value:.2f}" for key, value in numbers.items()}


def _against_reported(
    measured: Estimate, stated: dict[str, str | float | None], deviation: float, kind: PicturesKind
) -> dict[str, str]:
    """Return the columns that set a measured mIoU beside a reported one.

    The interval of the difference joins two parts, which are independent, as the root of their summed squares: the
    pictures' (the bootstrap interval), and the seeds', where both numbers are of one training each.
    """
    if stated.get("miou") is None:
        return {}
    row = {"reported_miou": f"{stated['miou']:.2f}", "reported_source": stated.get("source") or ""}
    if kind != PUBLISHED:
        return row | {"reproduced": "not comparable"}
    difference = 100 * measured.value - stated["miou"]
    row["difference"] = f"{difference:.2f}"
    if measured.low is not None and measured.high is not None:
        seeds = 1.96 * sqrt(2) * deviation
        low = difference - hypot(100 * (measured.value - measured.low), seeds)
        high = difference + hypot(100 * (measured.high - measured.value), seeds)
        row |= {"difference_low": f"{low:.2f}", "difference_high": f"{high:.2f}"}
        row["reproduced"] = "yes" if low <= 0 <= high else "no, below" if high < 0 else "no, above"
    if stated.get("differs"):
        row |= {"reproduced": "another experiment", "why": stated["differs"]}
    return row


def _cells(row: dict[str, str]) -> list[str]:
    spread = reported = ""
    if "spread_low" in row:
        spread = f"{row['spread_mean']} {interval_text(row['spread_low'], row['spread_high'])}"
    if "difference" in row:
        reported = f"{gain(float(row['difference']) / 100)} " + interval_text(
            *(gain(float(row[key]) / 100) if key in row else "" for key in ("difference_low", "difference_high"))
        )
    verdict = row.get("reproduced", "")
    return [
        *(row["system"] + leak_mark(row["leaks"]), row["split"], row["miou"], or_dash(spread), row["spread"]),
        *(or_dash(row.get("reported_miou", "")), or_dash(reported)),
        or_dash(f"{verdict}: {row['why']}" if row.get("why") else verdict),
    ]


def _notes(spreads: Spreads, statistics: Statistics, seed_deviation: float, kind: PicturesKind) -> list[str]:
    commits = sorted({spread.commit for spread in spreads.values()})
    notes = [
        "Other seeds: mean of trainings with the same settings and other seeds on one machine (at commit "
        f"{', '.join(commits)}), and the interval that holds one further training, or the same seed on another kind "
        "of processor, 95 times of 100: of twenty systems about one lies outside by chance."
    ] * bool(commits)
    if kind == PUBLISHED:
        notes.append(
            f"Difference: measured minus reported, with a {100 * statistics.confidence:g} % interval of pictures and "
            "seeds; reproduced where it holds zero. Where the spread over seeds is not measured, its standard "
            f"deviation is taken to be {seed_deviation:g} points; weights that are not trained here have none."
        )
    else:
        notes.append(NOTES[kind])
    return notes
