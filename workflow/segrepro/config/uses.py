"""Sentences on a config's references that several checks say."""

from __future__ import annotations

from typing import Any

from segrepro.data.datasets import DATASETS


def unknown(path: str, value: str, known: Any, what: str) -> str:
    """Return the sentence on a name that leads nowhere: its key's path, the name, and the names that there are."""
    return f"{path}: {value!r} names no {what}; there are {', '.join(known) or 'none'}"


def dataset_use(path: str, name: str) -> list[str]:
    """Return what speaks against training, fitting or scoring on a dataset: it must exist and have masks."""
    if name not in DATASETS:
        return [unknown(path, name, DATASETS, "dataset")]
    if not DATASETS[name].has_masks:
        return [f"{path}: '{name}' has no masks; choose a dataset with ground truth"]
    return []
