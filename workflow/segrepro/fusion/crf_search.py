"""The search for a CRF's parameters, on pictures that are never scored."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.config.crf import PARAMETERS
from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion
from segrepro.evaluation.metrics import metrics
from segrepro.files import ids_sha256, write_json, write_rows
from segrepro.fusion.densecrf import PRESETS, Parameters, parameters_of, read_evidence, refine
from segrepro.json_files import read_json
from segrepro.stores.manifests import Example
from segrepro.stores.scores import ScoreReader

COLUMNS = ("system", "split", "leaks", "trial", *PARAMETERS, "miou", "gain")


def grid_trials(preset: str, ranges: Mapping[str, Sequence[Any]]) -> list[Parameters]:
    """Return every combination of the values (the last parameter varies fastest); others keep the preset's."""
    return _distinct(preset, (dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values())))


def random_trials(preset: str, ranges: Mapping[str, Sequence[Any]], count: int, *, seed: int) -> list[Parameters]:
    """Draw parameters between the smallest and the largest of the values given, uniformly on a log scale.

    Widths and weights count by their ratios, hence the log scale; ``gt_prob``, a probability, is drawn on a linear
    one. Of a normalisation one of the names is drawn. Numbers are rounded to 3 digits.
    """
    random = np.random.default_rng(seed)
    draws = ({name: _draw(name, values, random) for name, values in ranges.items()} for _ in range(count))
    return _distinct(preset, draws)


def _distinct(preset: str, changes: Iterable[dict[str, Any]]) -> list[Parameters]:
    return list(dict.fromkeys(replace(PRESETS[preset], **changed) for changed in changes))


def _draw(name: str, values: Sequence[Any], random: np.random.Generator) -> Any:
    if name == "normalisation":
        return values[random.integers(len(values))]
    low, high = min(values), max(values)
    if name == "iterations":  # from half below to half above, so that the ends are as likely as what is between
        drawn = round(math.exp(random.uniform(math.log(low - 0.5), math.log(high + 0.5))))
        return min(max(drawn, low), high)
    to_scale, back = (float, float) if name == "gt_prob" else (math.log, math.exp)
    return float(f"{back(random.uniform(to_scale(low), to_scale(high))):.3g}")


@dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    before: float  # mIoU without a CRF, in [0, 1]
    trials: list[Parameters]
    mious: list[float]  # of each trial, in [0, 1]

    @property
    def best(self) -> int:
        """Index of the trial with the highest mIoU, of equals the first."""
        return int(np.argmax(self.mious))

    def rows(self) -> list[dict[str, Any]]:
        """Return the table: the first row is the system without a CRF; mIoU and gain in percent."""
        rows = [{"trial": 0, "miou": _percent(self.before), "gain": _percent(0)}]
        for number, (trial, miou) in enumerate(zip(self.trials, self.mious, strict=True), start=1):
            values = {name: "" if value is None else value for name, value in asdict(trial).items()}
            gain = _percent(miou - self.before)
            rows.append({"trial": number, **values, "miou": _percent(miou), "gain": gain})
        return rows


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3f}"


def search(
    store: Path,
    examples: list[Example],
    trials: list[Parameters],
    *,
    space: str,
    threads: int,
    drop_below: float = 0.0,
) -> SearchResult:
    """Score trials, all with ``gt_prob`` or all without, on the tuning pictures, of which the store may hold more.

    The label space is that of the masks; ``drop_below`` is that of the CRF that will run. A picture that cannot be used
    is a `UserError`, as are masks that are all void.
    """
    with ScoreReader(store) as reader:
        trials = [trial.for_store(reader.kind) for trial in trials]
        label = f"{reader.system}, {len(trials)} trials"
    counted = partial(_confusions, store, space, trials, drop_below)
    total = sum(map_in_processes(counted, examples, threads=threads, label=label, total=len(examples)))
    try:
        mious = [metrics(counts).miou for counts in total]
    except ValueError as error:
        raise UserError(f"the tuning pictures cannot be scored: {error}; check their masks.") from error
    return SearchResult(mious[0], trials, mious[1:])


def _confusions(store: Path, space: str, trials: list[Parameters], drop_below: float, example: Example) -> np.ndarray:
    """Return a picture's confusions: int64 (1 + trials, classes, classes), the first one without a CRF."""
    truth = read_mask(example.mask)
    with ScoreReader(store) as reader:
        evidence = read_evidence(reader, example, space, hard=trials[0].gt_prob is not None)
        answers = [reader.labels(example.id, space)]
    answers += [refine(evidence, trial, drop_below=drop_below).argmax(axis=-1) for trial in trials]
    try:
        return np.stack([confusion(truth, answer, evidence.classes) for answer in answers])
    except ValueError as error:
        remedy = "check that manifest, masks and score store belong together"
        raise UserError(f"{example.mask}: {error}; {remedy}.") from error


def write_search(path: Path, result: SearchResult, *, system: str, split: str, leaks: str) -> None:
    """Write the whole search as CSV, atomically: one row per trial, the first one without a CRF.

    ``leaks`` is the share of the tuning pictures that were seen in the system's making, as printed; empty for none.
    """
    pair = {"system": system, "split": split, "leaks": leaks}
    rows = (pair | row for row in result.rows())
    write_rows(path, COLUMNS, [[row.get(column, "") for column in COLUMNS] for row in rows])


def write_best(
    path: Path, result: SearchResult, *, system: str, split: str, ids: list[str], how: dict[str, Any]
) -> None:
    """Write the best parameters as JSON, with the ids of the tuning pictures and all that the search depends on."""
    miou = result.mious[result.best]
    value = {
        "parameters": asdict(result.trials[result.best]),
        "miou_before": result.before,
        "miou": miou,
        "gain": miou - result.before,
        "trials": len(result.trials),
        "search": how,
        "system": system,
        "split": split,
        "pictures": len(ids),
        "ids_sha256": ids_sha256(ids),
        "ids": sorted(ids),
    }
    write_json(path, value)


def read_best(path: Path) -> Parameters:
    """Read the parameters that `write_best` wrote; a `UserError` where the file is missing or holds something else."""
    return parameters_of(read_json(path, "make it with `segrepro crf-search`").get("parameters"), path)
