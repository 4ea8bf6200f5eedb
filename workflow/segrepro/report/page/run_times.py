"""Run times of a run's jobs, from the files that Snakemake's ``benchmark:`` wrote."""

import math
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from segrepro.errors import UserError

SLOWEST = 12  # jobs listed by name
COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "memory_mb"}  # Snakemake's names and ours


def read_run_times(folder: Path, jobs: Collection[str] | None = None) -> dict[str, Any]:
    """Read the ``<rule>/<job>.tsv`` (or ``<rule>.tsv``) below a folder.

    A file holds the last run of its job, a row per repetition; ``-`` and ``NA`` stand for what could not be measured.
    It stays when the config no longer has its job, or has it in another number of shards: whoever knows the jobs
    names them.

    Args:
        folder: of the files.
        jobs: their names without ``.tsv``, with ``*`` for any text (``predict/fcn8s/voc_val/*-of-8``); None for every
            file. A job that was never timed has none.

    Returns:
        ``rules``, by total time: rule, jobs, seconds (all jobs one after the other), cpu_seconds and memory_mb (the
        most that one job held resident), each None where not one job was measured; ``slowest``: the `SLOWEST` longest
        jobs as rule, job, seconds.

    Raises:
        UserError: a file is not of Snakemake's form.
    """
    timed = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        place = path.relative_to(folder).with_suffix("")
        if jobs is None or any(fnmatchcase(place.as_posix(), job) for job in jobs):
            timed.append({"rule": place.parts[0], "job": "/".join(place.parts[1:]), **_measured(path)})
    table = pd.DataFrame(timed, columns=["rule", "job", *COLUMNS.values()])
    by_rule = table.groupby("rule")
    rules = by_rule[["seconds", "cpu_seconds"]].sum(min_count=1).round(2)
    rules = rules.assign(memory_mb=by_rule["memory_mb"].max(), jobs=by_rule.size()).reset_index()
    slowest = table.sort_values(["seconds", "rule", "job"], ascending=[False, True, True]).head(SLOWEST)
    return {
        "rules": _records(rules.sort_values(["seconds", "rule"], ascending=[False, True])),
        "slowest": _records(slowest[["rule", "job", "seconds"]]),
    }


def _measured(path: Path) -> dict[str, float]:
    try:
        rows = pd.read_csv(path, sep="\t", na_values="-").rename(columns=COLUMNS)
        rows = rows[["seconds"]].join(rows.filter(["cpu_seconds", "memory_mb"])).astype(float)
    except pd.errors.EmptyDataError:  # of a run that was killed; the page needs none of them
        return dict.fromkeys(COLUMNS.values(), math.nan)
    except (KeyError, ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not a benchmark of Snakemake ({error!r}); remove the file.") from error
    measured = rows.sum(min_count=1).to_dict()
    if "memory_mb" in measured:
        measured["memory_mb"] = rows["memory_mb"].max()
    return {name: round(value, 2) for name, value in measured.items()}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")
