"""Datasets: what they are listed from, what is checked of them, their object proposals."""

import shlex
from pathlib import Path
from typing import Any

from segrepro.config.data import Archive, DatasetChecks
from segrepro.config.places import expanded
from segrepro.data.datasets import DATASETS, FOLDERS, Folder
from segrepro.options import as_options
from segrepro.plan.experiment import Plan
from segrepro.plan.fetching import download
from segrepro.stores.manifests import check_listed


def folders(plan: Plan, dataset: str) -> list[str]:
    """Return the converted folders that a dataset is listed from."""
    return [f"{plan.data}/{FOLDERS[key].path}" for key in DATASETS[dataset].needs]


def converted(plan: Plan) -> list[str]:
    """Return the folders that archives can be converted to, below the data folder."""
    return [FOLDERS[key].path for key in FOLDERS if all(_archives(plan, key))]


def archives(plan: Plan, path: str) -> list[str]:
    """Return the archives that a folder is converted from, as rule inputs; ``path`` is below the data folder."""
    return [download(plan, archive) for archive in _archives(plan, _key_of(path))]


def folder(path: str) -> Folder:
    """Return the entry of a converted folder."""
    return FOLDERS[_key_of(path)]


def convert_options(plan: Plan, path: str) -> str:
    """Return the options of the conversion to a folder: which one it is, and COCO's settings."""
    key = _key_of(path)
    return f"{key} {as_options(plan.config.coco)}" if FOLDERS[key].of_coco else key


def _archives(plan: Plan, key: str) -> list[Archive | None]:
    return [getattr(plan.config.archives, archive) for archive in FOLDERS[key].archives]


def _key_of(path: str) -> str:
    return next(key for key, entry in FOLDERS.items() if entry.path == path)


def manifest_options(plan: Plan, dataset: str) -> str:
    """Return the options that name the folders (and lists) of a dataset."""
    options = [f"{FOLDERS[key].option} {plan.data}/{FOLDERS[key].path}" for key in DATASETS[dataset].needs]
    if dataset == "seg11valid" and plan.config.voc2011_val:
        options.append(f"--voc2011-val {shlex.quote(expanded(plan.config.voc2011_val))}")
    return " ".join(options)


def available(plan: Plan, dataset: str) -> bool:
    """Return whether the config has the archives that a dataset needs (VOC test is optional)."""
    return not plan.config.missing_archives(dataset)


def checks_of(plan: Plan, dataset: str) -> DatasetChecks:
    """Return what the config says that a dataset must be; nothing in particular where it is silent."""
    return plan.config.datasets.get(dataset, DatasetChecks())


def disjoint_from(plan: Plan, dataset: str) -> list[str]:
    """Return the manifests that a dataset must share no picture with, as rule inputs; not of archives left out."""
    return [plan.manifest(other) for other in checks_of(plan, dataset).disjoint_from if available(plan, other)]


def check_options(plan: Plan, dataset: str) -> str:
    """Return the options of a dataset's label checks."""
    options = f"--label-space {DATASETS[dataset].label_space or 'none'}"
    options += f" {as_options(checks_of(plan, dataset), leave_out=['disjoint_from'])}"
    if others := disjoint_from(plan, dataset):
        options += f" --disjoint-from {' '.join(others)}"
    return f"{options} {as_options(plan.config.label_checks)}"


def sample_options(plan: Plan) -> str:
    """Return the options of the generated archives."""
    return as_options(plan.config.sample) if plan.config.sample else ""


def check_grid_ids(plan: Plan) -> None:
    """Refuse a picture of the grid that its split lacks, before anything runs, where the split has been listed."""
    for split, ids in plan.config.figures.grid.ids.items():
        manifest = Path(plan.manifest(split))
        if manifest.is_file():
            check_listed(ids, manifest, key=f"config: figures.grid.ids.{split}")


def detector(plan: Plan, proposals: str) -> str | list[Any]:
    """Return the edge detector's file, as a rule input; none for proposals without one."""
    entry = getattr(plan.config.proposals[proposals], "model", None)
    return download(plan, entry) if entry else []


def edge_maps(plan: Plan, proposals: str) -> str | list[Any]:
    """Return the folder of the user's edge maps, as a rule input; none for proposals that take none."""
    folder = getattr(plan.config.proposals[proposals], "edges", None)
    return expanded(folder) if folder else []


def proposal_options(plan: Plan, proposals: str) -> str:
    """Return the options of a way to find object proposals."""
    entry = plan.config.proposals[proposals]
    options = f"--method {entry.method} {as_options(entry, leave_out=['method', 'model', 'edges'])}"
    if entry.method != "edge_boxes":
        return options
    if model := detector(plan, proposals):
        return f"{options} --model {model}"
    return f"{options} --edges {shlex.quote(edge_maps(plan, proposals) or 'sobel')}"
