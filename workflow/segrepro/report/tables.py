"""The comparison tables: what this run measured beside what the reports and papers state."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

from segrepro.errors import UserError
from segrepro.evaluation.leakage import Marks, leaking_share, share_text
from segrepro.files import atomic_path
from segrepro.json_files import read_json
from segrepro.labels import label_space

MIOU_COLUMNS = (
    *("system", "split", "leaks", "miou", "pixel_accuracy", "mean_accuracy", "fw_iou"),
    *("reported_miou", "reported_pixel_accuracy", "reported_source", "difference", "pictures", "classes"),
)
MEASURES = ("miou", "pixel_accuracy", "mean_accuracy", "fw_iou")
REPORTED_KEYS = ("miou", "pixel_accuracy", "source", "differs")

Metrics = dict[str, Any]
Reported = dict[str, dict[str, dict[str, Any]]]


def percent(fraction: float | None) -> str:
    """Print a fraction as the reports do: in percent with two decimals; empty for None."""
    return "" if fraction is None else f"{100 * fraction:.2f}"


def leaks(entry: Metrics, marks: Marks | None) -> str:
    """Return the share of the scored pictures that were seen in a system's making, in percent; empty when none."""
    return "" if marks is None else share_text(leaking_share(marks, entry["system"], entry["split"]))


def miou_rows(metrics: list[Metrics], reported: Reported, marks: Marks | None = None) -> list[dict[str, str]]:
    """Build the rows of ``miou.csv``, one a system and split, in the order of ``metrics``.

    Args:
        metrics: contents of metrics files, from `read_metrics`.
        reported: system -> split -> ``miou``, ``pixel_accuracy`` (percent) and ``source``, each optional.
        marks: the audit's shares of leaked pictures; None where there was no audit.

    Returns:
        Rows with the keys `MIOU_COLUMNS`; values in percent with two decimals. ``difference`` is the measured
        minus the reported mIoU as printed, in percentage points; empty where nothing is reported.
    """
    rows = []
    for entry in metrics:
        stated = reported.get(entry["system"], {}).get(entry["split"], {})
        row = {"system": entry["system"], "split": entry["split"], "leaks": leaks(entry, marks)}
        row |= {measure: percent(entry[measure]) for measure in MEASURES}
        row |= {f"reported_{key}": _as_printed(stated.get(key)) for key in ("miou", "pixel_accuracy")}
        row["reported_source"] = stated.get("source") or ""
        row["difference"] = str(Decimal(row["miou"]) - Decimal(row["reported_miou"])) if row["reported_miou"] else ""
        row |= {"pictures": str(entry["pictures"]), "classes": str(entry["classes"])}
        rows.append(row)
    return rows


def _as_printed(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def per_class_rows(metrics: list[Metrics], marks: Marks | None = None) -> tuple[list[str], list[dict[str, str]]]:
    """Build ``per_class_iou.csv``: one row a system and split, one column a class.

    Args:
        metrics: contents of metrics files, from `read_metrics`.
        marks: as of `miou_rows`.

    Returns:
        The columns (system, split, leaks, then the classes in label order; those of a further label space follow) and
        the rows: IoU in percent with two decimals, empty where the ground truth has no such class.
    """
    classes: dict[str, None] = {}
    for entry in metrics:
        in_label_order = [name for name in label_space(entry["label_space"]).classes if name is not None]
        classes |= dict.fromkeys(in_label_order)
    rows = [
        {"system": entry["system"], "split": entry["split"], "leaks": leaks(entry, marks)}
        | {name: percent(entry["per_class_iou"].get(name)) for name in classes}
        for entry in metrics
    ]
    return ["system", "split", "leaks", *classes], rows


def read_metrics(paths: list[Path]) -> list[Metrics]:
    """Read metrics files of `segrepro evaluate`, keeping their order.

    Raises:
        UserError: a file is missing, not of that form, or two are of the same system and split.
    """
    found: dict[tuple[str, str], Path] = {}
    metrics = []
    for path in paths:
        entry = read_json(path, "evaluate it again")
        needed = ("system", "split", "label_space", "pictures", "classes", "per_class_iou", *MEASURES)
        missing = [key for key in needed if key not in entry]
        if missing:
            raise UserError(f"{path}: key '{missing[0]}' is missing; a metrics file comes from `segrepro evaluate`.")
        key = (entry["system"], entry["split"])
        if key in found:
            raise UserError(
                f"{path}: system '{key[0]}' on '{key[1]}' was given before by {found[key]}; give each pair once."
            )
        found[key] = path
        metrics.append(entry)
    return metrics


def read_reported(path: Path) -> Reported:
    """Read the reported results, in percent.

    The form is ``{system: {split: {"miou": 76.42, "pixel_accuracy": 94.45, "source": "report 2"}}}``; every key of
    the innermost level may be absent or null.

    Raises:
        UserError: the file is missing, not JSON, or has an unknown key or a value outside 0..100.
    """
    reported = read_json(path, "check the file")
    for system, splits in reported.items():
        for split, stated in _mapping(splits, f"{path}: {system}").items():
            for key, value in _mapping(stated, f"{path}: {system}.{split}").items():
                _check_stated(key, value, f"{path}: {system}.{split}.{key}")
    return reported


def _check_stated(key: str, value: Any, where: str) -> None:
    if key not in REPORTED_KEYS:
        raise UserError(f"{where} is unknown; use {', '.join(REPORTED_KEYS)}.")
    if value is None:
        return
    if key in ("source", "differs"):
        if not isinstance(value, str):
            raise UserError(f"{where} is {value!r}; write text.")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise UserError(f"{where} is {value!r}; give a number of percent, 0 to 100.")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a mapping; write system, then split, then miou, pixel_accuracy, source.")
    return value


def write_table(path: Path, columns: list[str] | tuple[str, ...], rows: list[dict[str, str]]) -> None:
    """Write rows as CSV, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
