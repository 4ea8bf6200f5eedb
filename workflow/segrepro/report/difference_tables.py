"""The tables of differences between systems, each with its paired interval: CRFs, ablations, and all pairs.

A difference is called better or worse where its whole interval is on one side of zero, else unclear.
"""

import itertools

from segrepro.evaluation.leakage import Marks
from segrepro.evaluation.statistics import Estimate, Statistics
from segrepro.report.declared import Declared
from segrepro.report.main_tables import statistics_notes
from segrepro.report.numbers import VERDICTS, gain, gain_with_interval, interval_columns, leak_mark, short_gain
from segrepro.report.printed import LEAK_NOTE, NOTHING, Part, Table
from segrepro.report.tables import Metrics, leaks, percent

VERDICT_NOTE = "Better or worse: the whole interval is on that side of zero; unclear: it holds zero."


class Pairs:
    """The systems of some metrics, and the differences between them."""

    def __init__(self, metrics: list[Metrics], statistics: Statistics, marks: Marks | None) -> None:
        self._statistics = statistics
        self._leaks = {(entry["system"], entry["split"]): leaks(entry, marks) for entry in metrics}
        self._mious = {(entry["system"], entry["split"]): entry["miou"] for entry in metrics}

    def systems(self, split: str) -> list[str]:
        """The systems that are scored on a split, in the order of the metrics."""
        return [system for system, scored in self._mious if scored == split]

    @property
    def splits(self) -> list[str]:
        """The splits, in the order of the metrics."""
        return list(dict.fromkeys(split for _, split in self._mious))

    def scored(self, system: str, split: str) -> bool:
        """Whether a system is scored on a split."""
        return (system, split) in self._mious

    def miou(self, system: str, split: str) -> str:
        """A system's mIoU as printed."""
        return percent(self._mious[system, split])

    def leaks(self, system: str, split: str) -> str:
        """The share of the pictures that a system has seen, as printed; empty for none."""
        return self._leaks[system, split]

    def named(self, system: str, split: str) -> str:
        """A system's name, with a dagger where it leaks."""
        return system + leak_mark(self.leaks(system, split))

    def difference(self, first: str, second: str, split: str) -> Estimate:
        """The first system's mIoU minus the second's."""
        return self._statistics.difference(first, second, split)


def _columns(prefix: str, estimate: Estimate) -> dict[str, str]:
    """Return a difference as CSV columns: value, ends of the interval, verdict."""
    value = {prefix: gain(estimate.value).removeprefix("+")}
    return value | interval_columns(prefix, estimate) | {"verdict": VERDICTS[estimate.sign]}


def crf_table(pairs: Pairs, declared: Declared, statistics: Statistics) -> Table:
    """Build ``crf``: mIoU before and after each CRF, its gain and whether it is one."""
    rows, cells = [], []
    for system, refined in declared.crfs.items():
        for split in (s for s in pairs.splits if pairs.scored(system, s) and pairs.scored(refined, s)):
            estimate = pairs.difference(system, refined, split)
            row = {"system": system, "refines": refined, "split": split, "leaks": pairs.leaks(system, split)}
            row["refines_leaks"] = pairs.leaks(refined, split)
            row |= {"before": pairs.miou(refined, split), "after": pairs.miou(system, split)}
            rows.append(row | _columns("gain", estimate))
            cells.append(
                [
                    *(pairs.named(system, split), pairs.named(refined, split), split, row["before"], row["after"]),
                    *(gain_with_interval(estimate), VERDICTS[estimate.sign]),
                ]
            )
    columns = (
        *("system", "refines", "split", "leaks", "refines_leaks", "before", "after"),
        *("gain", "gain_low", "gain_high", "verdict"),
    )
    headers = ("system", "refines", "split", "before", "after", "gain", "verdict")
    return Table(
        name="crf",
        title="What a CRF changes: mIoU before and after, in percent",
        columns=columns,
        rows=rows,
        parts=[Part("", headers, cells)],
        notes=[VERDICT_NOTE, LEAK_NOTE, *statistics_notes(statistics)],
    )


def ablation_table(pairs: Pairs, declared: Declared, statistics: Statistics) -> Table:
    """Build ``ablation``: for each question of the config, the baseline and what each other system adds to it."""
    rows, parts = [], []
    for ablation in declared.ablations:
        cells = []
        for split in (s for s in pairs.splits if pairs.scored(ablation.baseline, s)):
            others = [system for system in ablation.systems if pairs.scored(system, split)]
            if not others:
                continue
            for system in (ablation.baseline, *others):
                row = {"ablation": ablation.name, "split": split, "system": system, "baseline": ablation.baseline}
                row |= {"leaks": pairs.leaks(system, split), "baseline_leaks": pairs.leaks(ablation.baseline, split)}
                row["miou"] = pairs.miou(system, split)
                printed = ["baseline", NOTHING]
                if system != ablation.baseline:
                    estimate = pairs.difference(system, ablation.baseline, split)
                    row |= _columns("difference", estimate)
                    printed = [gain_with_interval(estimate), VERDICTS[estimate.sign]]
                rows.append(row)
                cells.append([split, pairs.named(system, split), row["miou"], *printed])
        if cells:
            parts.append(Part(ablation.name, ("split", "system", "mIoU", "difference", "verdict"), cells))
    columns = (
        *("ablation", "split", "system", "baseline", "leaks", "baseline_leaks", "miou"),
        *("difference", "difference_low", "difference_high", "verdict"),
    )
    return Table(
        name="ablation",
        title="Ablations: difference in mIoU to a baseline, in percentage points",
        columns=columns,
        rows=rows,
        parts=parts or [Part("", (), [])],
        notes=[VERDICT_NOTE, LEAK_NOTE, *statistics_notes(statistics)],
    )


def paired_table(pairs: Pairs, statistics: Statistics) -> Table:
    """Build ``paired``: every two systems of a split; printed as a matrix, row minus column."""
    columns = (
        *("split", "first", "second", "first_leaks", "second_leaks", "first_miou", "second_miou"),
        *("difference", "difference_low", "difference_high", "verdict"),
    )
    rows = [
        {"split": split, "first": first, "second": second}
        | {"first_leaks": pairs.leaks(first, split), "second_leaks": pairs.leaks(second, split)}
        | {"first_miou": pairs.miou(first, split), "second_miou": pairs.miou(second, split)}
        | _columns("difference", pairs.difference(first, second, split))
        for split in pairs.splits
        for first, second in itertools.combinations(pairs.systems(split), 2)
    ]
    return Table(
        name="paired",
        title="Differences in mIoU between systems on the same pictures, in percentage points",
        columns=columns,
        rows=rows,
        parts=[_matrix(pairs, split) for split in pairs.splits if len(pairs.systems(split)) > 1] or [Part("", (), [])],
        notes=[
            "Row minus column; * where the interval does not hold zero. The CSV has every interval. Of so many pairs, "
            "some differ by chance alone.",
            LEAK_NOTE,
            *statistics_notes(statistics),
        ],
    )


def _matrix(pairs: Pairs, split: str) -> Part:
    """Return the differences of a split below the diagonal; columns are numbered as the rows are."""
    systems = pairs.systems(split)
    cells = []
    for number, system in enumerate(systems):
        estimates = [pairs.difference(system, other, split) for other in systems[:number]]
        differences = [short_gain(e.value) + "*" * abs(e.sign) for e in estimates]
        cells.append(
            [str(number + 1), pairs.named(system, split), pairs.miou(system, split), *differences]
            + [""] * (len(systems) - 1 - number)
        )
    return Part(split, ("", "system", "mIoU", *map(str, range(1, len(systems)))), cells)
