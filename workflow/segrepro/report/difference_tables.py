"""The tables of differences between systems, each with its paired interval: CRFs, ablations, and all pairs.

A table makes many comparisons, of which some come out by chance: a difference is called better or worse where it is
significant after Holm's correction for all differences of its table, else unclear. Intervals are of one difference.
"""

import itertools
from collections.abc import Sequence

from segrepro.evaluation.holm import holm
from segrepro.evaluation.leakage import Marks
from segrepro.evaluation.statistics import Difference, Statistics
from segrepro.report.declared import Declared
from segrepro.report.main_tables import statistics_notes
from segrepro.report.numbers import VERDICTS, gain, gain_with_interval, interval_columns, leak_mark, short_gain
from segrepro.report.printed import LEAK_NOTE, NOTHING, Part, Table
from segrepro.report.tables import Metrics, leaks, percent

VERDICT_COLUMNS = ("p", "p_holm", "verdict")


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

    def difference(self, first: str, second: str, split: str) -> Difference:
        """The first system's mIoU minus the second's."""
        return self._statistics.difference(first, second, split)


def _columns(prefix: str, difference: Difference) -> dict[str, str]:
    """Return a difference as CSV columns: value and ends of the interval."""
    return {prefix: gain(difference.value).removeprefix("+")} | interval_columns(prefix, difference)


def _verdicts(differences: Sequence[Difference], statistics: Statistics) -> list[dict[str, str]]:
    """Return for each difference of a table, all of them, its p-value, the one by Holm's method, and the verdict."""
    adjusted = holm([difference.p for difference in differences])
    found = []
    for difference, p in zip(differences, adjusted, strict=True):
        significant = p is not None and p < 1 - statistics.confidence
        sign = (difference.value > 0) - (difference.value < 0) if significant else 0
        values = ["" if value is None else f"{value:.4f}" for value in (difference.p, p)]
        found.append(dict(zip(VERDICT_COLUMNS, [*values, VERDICTS[sign]], strict=True)))
    return found


def _verdict_note(verdict: str, tests: int, statistics: Statistics) -> str:
    return (
        f"{verdict}: significant at {100 * (1 - statistics.confidence):.2g} % after Holm's correction for the {tests} "
        f"differences of this table; otherwise unclear. The intervals are not corrected: each holds for its difference "
        "alone, so one that excludes zero may stand beside an unclear verdict."
    )


def crf_table(pairs: Pairs, declared: Declared, statistics: Statistics) -> Table:
    """Build ``crf``: mIoU before and after each CRF, its gain and whether it is one."""
    compared = [
        (system, refined, split, pairs.difference(system, refined, split))
        for system, refined in declared.crfs.items()
        for split in pairs.splits
        if pairs.scored(system, split) and pairs.scored(refined, split)
    ]
    verdicts = _verdicts([difference for *_, difference in compared], statistics)
    rows, cells = [], []
    for (system, refined, split, difference), verdict in zip(compared, verdicts, strict=True):
        row = {"system": system, "refines": refined, "split": split, "leaks": pairs.leaks(system, split)}
        row["refines_leaks"] = pairs.leaks(refined, split)
        row |= {"before": pairs.miou(refined, split), "after": pairs.miou(system, split)}
        rows.append(row | _columns("gain", difference) | verdict)
        cells.append(
            [
                *(pairs.named(system, split), pairs.named(refined, split), split, row["before"], row["after"]),
                *(gain_with_interval(difference), verdict["verdict"]),
            ]
        )
    columns = (
        *("system", "refines", "split", "leaks", "refines_leaks", "before", "after"),
        *("gain", "gain_low", "gain_high", *VERDICT_COLUMNS),
    )
    headers = ("system", "refines", "split", "before", "after", "gain", "verdict")
    return Table(
        name="crf",
        title="What a CRF changes: mIoU before and after, in percent",
        columns=columns,
        rows=rows,
        parts=[Part("", headers, cells)],
        notes=[
            _verdict_note("Better or worse", len(compared), statistics),
            LEAK_NOTE,
            *statistics_notes(statistics),
        ],
    )


def ablation_table(pairs: Pairs, declared: Declared, statistics: Statistics) -> Table:
    """Build ``ablation``: for each question of the config, the baseline and what each other system adds to it.

    A question's note stands in its baselines' rows, and below the printed table.
    """
    compared = {
        (ablation.name, split, system): pairs.difference(system, ablation.baseline, split)
        for ablation in declared.ablations
        for split in pairs.splits
        for system in ablation.systems
        if pairs.scored(ablation.baseline, split) and pairs.scored(system, split)
    }
    verdicts = dict(zip(compared, _verdicts([*compared.values()], statistics), strict=True))
    rows, parts, notes = [], [], []
    for ablation in declared.ablations:
        cells = []
        for split in pairs.splits:
            others = [system for system in ablation.systems if (ablation.name, split, system) in compared]
            if not others:
                continue
            for system in (ablation.baseline, *others):
                row = {"ablation": ablation.name, "split": split, "system": system, "baseline": ablation.baseline}
                row |= {"leaks": pairs.leaks(system, split), "baseline_leaks": pairs.leaks(ablation.baseline, split)}
                row["miou"] = pairs.miou(system, split)
                if system == ablation.baseline:
                    row["note"] = ablation.note or ""
                    printed = ["baseline", NOTHING]
                else:
                    key = (ablation.name, split, system)
                    row |= _columns("difference", compared[key]) | verdicts[key]
                    printed = [gain_with_interval(compared[key]), row["verdict"]]
                rows.append(row)
                cells.append([split, pairs.named(system, split), row["miou"], *printed])
        if cells:
            parts.append(Part(ablation.name, ("split", "system", "mIoU", "difference", "verdict"), cells))
            notes += [f"{ablation.name}: {ablation.note}."] if ablation.note else []
    columns = (
        *("ablation", "split", "system", "baseline", "leaks", "baseline_leaks", "miou"),
        *("difference", "difference_low", "difference_high", *VERDICT_COLUMNS, "note"),
    )
    return Table(
        name="ablation",
        title="Ablations: difference in mIoU to a baseline, in percentage points",
        columns=columns,
        rows=rows,
        parts=parts or [Part("", (), [])],
        notes=[
            *notes,
            _verdict_note("Better or worse", len(compared), statistics),
            LEAK_NOTE,
            *statistics_notes(statistics),
        ],
    )


def paired_table(pairs: Pairs, statistics: Statistics) -> Table:
    """Build ``paired``: every two systems of a split; printed as a matrix, row minus column."""
    columns = (
        *("split", "first", "second", "first_leaks", "second_leaks", "first_miou", "second_miou"),
        *("difference", "difference_low", "difference_high", *VERDICT_COLUMNS),
    )
    compared = {
        (split, first, second): pairs.difference(first, second, split)
        for split in pairs.splits
        for first, second in itertools.combinations(pairs.systems(split), 2)
    }
    verdicts = dict(zip(compared, _verdicts([*compared.values()], statistics), strict=True))
    rows = [
        {"split": split, "first": first, "second": second}
        | {"first_leaks": pairs.leaks(first, split), "second_leaks": pairs.leaks(second, split)}
        | {"first_miou": pairs.miou(first, split), "second_miou": pairs.miou(second, split)}
        | _columns("difference", difference)
        | verdicts[split, first, second]
        for (split, first, second), difference in compared.items()
    ]
    clear = {key for key, verdict in verdicts.items() if verdict["verdict"] != VERDICTS[0]}
    return Table(
        name="paired",
        title="Differences in mIoU between systems on the same pictures, in percentage points",
        columns=columns,
        rows=rows,
        parts=[_matrix(pairs, split, clear) for split in pairs.splits if len(pairs.systems(split)) > 1]
        or [Part("", (), [])],
        notes=[
            "Row minus column. " + _verdict_note("* (in the CSV: better or worse)", len(compared), statistics),
            LEAK_NOTE,
            *statistics_notes(statistics),
        ],
    )


def _matrix(pairs: Pairs, split: str, clear: set[tuple[str, str, str]]) -> Part:
    """Return the differences of a split below the diagonal, with stars for those in ``clear``."""
    systems = pairs.systems(split)
    cells = []
    for number, system in enumerate(systems):
        differences = [
            short_gain(pairs.difference(system, other, split).value) + "*" * ((split, other, system) in clear)
            for other in systems[:number]
        ]
        cells.append(
            [str(number + 1), pairs.named(system, split), pairs.miou(system, split), *differences]
            + [""] * (len(systems) - 1 - number)
        )
    return Part(split, ("", "system", "mIoU", *map(str, range(1, len(systems)))), cells)
