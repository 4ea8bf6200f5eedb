"""What a system's number depends on, by the config: a hash of its part, and the files that say the rest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segrepro.config.digest import system_sha256
from segrepro.data.datasets import DATASETS, FOLDERS
from segrepro.graph import MODEL, PROPOSALS, WEIGHTS, Graph

if TYPE_CHECKING:
    from segrepro.config import Config


@dataclass(frozen=True)
class Origin:
    """What one system's number on one split depends on; all but the hash are sorted names."""

    config_sha256: str  # of all of the config that the system's scores depend on
    datasets: tuple[str, ...]  # that it and its ancestors were trained or tuned on, and the split
    models: tuple[str, ...]  # among it and its ancestors
    files: tuple[str, ...]  # fetched: archives of the datasets, weights, edge detectors


def origin(config: Config, graph: Graph, system: str, split: str) -> Origin:
    """Trace a system, on a split that it is scored on or predicts, back to datasets, models and fetched files."""
    trained = [node for node in graph.ancestors(system) if node[0] != WEIGHTS]
    seen = {pictures.name for node in trained for pictures in graph.seen(node)}
    datasets = sorted({config.dataset_of(name) for name in {split} | seen})
    archives = {key for name in datasets for folder in DATASETS[name].needs for key in FOLDERS[folder].archives}
    entries = [getattr(config.archives, key) for key in archives]
    entries += [config.weights[name] for name in graph.of_kind(WEIGHTS, system)]
    entries += [detector(config, name) for name in graph.of_kind(PROPOSALS, system)]
    return Origin(
        config_sha256=system_sha256(config, system),
        datasets=tuple(datasets),
        models=tuple(sorted(graph.of_kind(MODEL, system))),
        files=tuple(sorted(entry.file for entry in entries if entry is not None)),
    )


def detector(config: Config, proposals: str) -> Any | None:
    """Return the file of the trained edge detector of a method of proposals; None where it has none."""
    return getattr(config.proposals[proposals], "model", None)


def experiment_sha256(origins: list[Origin]) -> str:
    """Return one hash of the config of several systems."""
    return hashlib.sha256("\n".join(sorted({entry.config_sha256 for entry in origins})).encode()).hexdigest()
