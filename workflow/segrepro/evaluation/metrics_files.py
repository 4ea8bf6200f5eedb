"""Reading the metrics that `segrepro evaluate` writes, one file per system and split."""

from pathlib import Path
from typing import Any

from segrepro.errors import UserError
from segrepro.json_files import read_json

MEASURES = ("miou", "pixel_accuracy", "mean_accuracy", "fw_iou")
NEEDED = ("system", "split", "label_space", "pictures", "classes", "per_class_iou", *MEASURES)


def read_metrics(paths: list[Path]) -> list[dict[str, Any]]:
    """Read metrics files, keeping their order.

    Raises:
        UserError: a file is missing, not of that form, or two are of the same system and split.
    """
    found: dict[tuple[str, str], Path] = {}
    metrics = []
    for path in paths:
        entry = read_json(path, "evaluate it again")
        missing = [key for key in NEEDED if key not in entry]
        if missing:
            raise UserError(f"{path}: key '{missing[0]}' is missing; a metrics file comes from `segrepro evaluate`.")
        system, split = key = entry["system"], entry["split"]
        if key in found:
            raise UserError(
                f"{path}: system '{system}' on '{split}' was given before by {found[key]}; give each pair once."
            )
        found[key] = path
        metrics.append(entry)
    return metrics
