"""The intervals of all systems: made from the per-picture confusions of `segrepro evaluate`, kept as one JSON.

The form (`Statistics`), mIoU and differences as fractions::

    {"method": "BCa", "resamples": 2000, "confidence": 0.95, "seed": 0,
     "splits": {"voc_val": {"pictures": 1449,
                            "systems": {"a": {"value": 0.764, "low": 0.751, "high": 0.776}, ...},
                            "differences": {"a": {"b": {"value": 0.073, "low": 0.06, "high": 0.087, "p": 1e-9}}}}}}

A difference is the first system's mIoU minus the second's, kept once per pair, in the order of the systems.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import Draws, bca_interval, bca_p_value, draws
from segrepro.evaluation.confusion import load_confusions
from segrepro.evaluation.metrics import TRUE, counts_of_confusions, mean_iou, or_none
from segrepro.json_files import read_model
from segrepro.schema import Positive, Section
from segrepro.stores.same_pictures import refuse_other_pictures

METHOD = "BCa"
SAME = 1e-9  # metrics and confusions of one evaluation agree to rounding errors of a mean of ratios


class Estimate(Section):
    """A value with its interval, as fractions."""

    value: float = Field(description="of all pictures")
    low: float | None = Field(description="end of the interval; null where a single picture defines the value")
    high: float | None = Field(description="the other end, or null too")


class Difference(Estimate):
    """The difference of two systems, with the p-value of "there is none"."""

    p: float | None = Field(description="two-sided, of this pair alone; null where there is no interval")

    def __neg__(self) -> "Difference":
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Difference(value=-self.value, low=low, high=high, p=self.p)


class SplitStatistics(Section):
    """All systems of a split, on the same pictures."""

    pictures: Positive
    systems: dict[str, Estimate]
    differences: dict[str, dict[str, Difference]]


class Statistics(Section):
    """Intervals of every system and split, and of every paired difference."""

    method: Literal["BCa"]
    resamples: Positive
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: int = Field(description="of the drawing")
    splits: dict[str, SplitStatistics]

    def miou(self, system: str, split: str) -> Estimate:
        """Return a system's mIoU; a `UserError` where it has no interval on this split."""
        found = self.splits[split].systems.get(system) if split in self.splits else None
        if found is None:
            raise UserError(f"system '{system}' has no interval on '{split}'; run `segrepro statistics` again.")
        return found

    def difference(self, first: str, second: str, split: str) -> Difference:
        """Return the first system's mIoU minus the second's; a `UserError` where they are not paired on this split."""
        kept = self.splits[split].differences if split in self.splits else {}
        if second in kept.get(first, {}):
            return kept[first][second]
        if first in kept.get(second, {}):
            return -kept[second][first]
        raise UserError(f"'{first}' and '{second}' are not paired on '{split}'; run `segrepro statistics` again.")


@dataclass(frozen=True)
class Scored:
    """What one system made of one split."""

    system: str
    split: str
    path: Path  # where the confusions were read
    ids: list[str]
    counts: np.ndarray  # `counts_of_confusions` of each picture, (pictures, 3, classes)


def read_scored(metrics: list[dict[str, Any]], confusions: list[Path]) -> list[Scored]:
    """Read the confusions (``.npz`` files) that belong to the contents of metrics files, in the same order.

    Raises:
        UserError: the numbers of files differ, or metrics and confusions are not of one evaluation.
    """
    if len(metrics) != len(confusions):
        raise UserError(f"--confusions: {len(confusions)} files for {len(metrics)} metrics; give one for each.")
    scored = []
    for entry, path in zip(metrics, confusions, strict=True):
        ids, counts = load_confusions(path)
        counts = counts_of_confusions(counts)
        miou = mean_iou(counts.sum(axis=0))
        if not abs(miou - entry["miou"]) <= SAME:
            raise UserError(
                f"{path}: gives mIoU {miou:.6f}, the metrics of '{entry['system']}' on '{entry['split']}' say "
                f"{entry['miou']:.6f}; evaluate again."
            )
        scored.append(Scored(entry["system"], entry["split"], path, ids, counts))
    return scored


def statistics(scored: list[Scored], bootstrap: Bootstrap) -> Statistics:
    """Compute all intervals.

    Raises:
        UserError: systems of a split were scored on different pictures or masks: nothing to pair.
    """
    by_split: dict[str, list[Scored]] = {}
    for entry in scored:
        by_split.setdefault(entry.split, []).append(entry)
    return Statistics(
        method=METHOD,
        **bootstrap.model_dump(),
        splits={split: _split_statistics(entries, bootstrap) for split, entries in by_split.items()},
    )


def _split_statistics(entries: list[Scored], bootstrap: Bootstrap) -> SplitStatistics:
    _check_same_pictures(entries)
    how = {"resamples": bootstrap.resamples, "seed": bootstrap.seed}
    drawn = {entry.system: draws(mean_iou, entry.counts, **how) for entry in entries}

    def ends(found: Draws) -> dict[str, float | None]:
        low, high = map(or_none, bca_interval(*found, bootstrap.confidence))
        return {"value": float(found.value), "low": low, "high": high}

    differences: dict[str, dict[str, Difference]] = {}
    for one, two in itertools.combinations(drawn, 2):
        paired = drawn[one].minus(drawn[two])
        difference = Difference(**ends(paired), p=or_none(bca_p_value(*paired)))
        differences.setdefault(one, {})[two] = difference
    return SplitStatistics(
        pictures=len(entries[0].ids),
        systems={system: Estimate(**ends(found)) for system, found in drawn.items()},
        differences=differences,
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values of a family of tests, adjusted by Holm's step-down method; None is no test, and stays.

    Calling a difference real where its adjusted value is below 0.05 makes even one false call in the whole family
    less probable than 0.05, however the tests hang together (Holm, "A simple sequentially rejective multiple test
    procedure", Scandinavian Journal of Statistics 6, 1979).
    """
    tested = [index for index, p in enumerate(p_values) if p is not None]
    order = sorted(tested, key=lambda index: p_values[index])
    factors = np.arange(len(order), 0, -1)
    steps = np.maximum.accumulate([p_values[index] for index in order] * factors) if order else []
    adjusted: list[float | None] = [None] * len(p_values)
    for index, value in zip(order, steps, strict=True):
        adjusted[index] = min(float(value), 1.0)
    return adjusted


def _check_same_pictures(entries: list[Scored]) -> None:
    first = entries[0]
    for other in entries[1:]:
        places = {"found_in": other.path, "wanted_in": first.path}
        refuse_other_pictures(other.ids, first.ids, **places, remedy="evaluate both again")
        if other.ids != first.ids or not np.array_equal(other.counts[:, TRUE], first.counts[:, TRUE]):
            raise UserError(
                f"{other.path}: '{other.split}' has other masks here than in {first.path}, or its pictures in another "
                "order; evaluate both again."
            )


def read_statistics(path: Path) -> Statistics:
    """Read what `segrepro statistics` wrote; a `UserError` where the file is missing or of another form."""
    return read_model(path, Statistics, "make it with `segrepro statistics`")
