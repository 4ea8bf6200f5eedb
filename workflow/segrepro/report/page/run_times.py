"""Run times of a run's jobs, from the files that Snakemake's ``benchmark:`` wrote."""

import csv
from collections import defaultdict
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from segrepro.errors import UserError

SLOWEST = 12  # jobs listed by name


def read_run_times(folder: Path, jobs: Collection[str] | None = None) -> dict[str, Any]:
    """Read the ``<rule>/<job>.tsv`` (or ``<rule>.tsv``) below a folder.

    A file holds the last run of its job, a row a repetition; ``-`` and ``NA`` stand for what could not be measured.
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
            rule, *rest = place.parts
            timed.append({"rule": rule, "job": "/".join(rest), **_measured(path)})
    by_rule = defaultdict(list)
    for job in timed:
        by_rule[job["rule"]].append(job)
    rules = [
        {
            "rule": rule,
            "jobs": len(members),
            "seconds": _over(sum, members, "seconds"),
            "cpu_seconds": _over(sum, members, "cpu_seconds"),
            "memory_mb": _over(max, members, "memory_mb"),
        }
        for rule, members in by_rule.items()
    ]
    rules.sort(key=lambda row: (-(row["seconds"] or 0), row["rule"]))
    slowest = sorted(timed, key=lambda job: (-(job["seconds"] or 0), job["rule"], job["job"]))[:SLOWEST]
    return {"rules": rules, "slowest": [{key: job[key] for key in ("rule", "job", "seconds")} for job in slowest]}


def _measured(path: Path) -> dict[str, float | None]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        return {
            "seconds": _over(sum, [{"s": _number(row["s"])} for row in rows], "s"),
            "cpu_seconds": _over(sum, [{"s": _number(row.get("cpu_time"))} for row in rows], "s"),
            "memory_mb": _over(max, [{"s": _number(row.get("max_rss"))} for row in rows], "s"),
        }
    except (UnicodeDecodeError, csv.Error, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a benchmark of Snakemake ({error!r}); remove the file.") from error


def _number(text: str | None) -> float | None:
    return None if text in (None, "", "-", "NA") else float(text)


def _over(function: Any, rows: list[dict[str, Any]], key: str) -> float | None:
    """Apply sum or max to what was measured; None where nothing was."""
    values = [row[key] for row in rows if row[key] is not None]
    return round(function(values), 2) if values else None
