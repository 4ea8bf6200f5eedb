"""Who descends from whom: systems, the models and systems they are made of, and the pictures each has seen.

The workflow writes a `Lineage` as JSON from the resolved config, and `segrepro audit` follows it (see
`segrepro.evaluation.leakage`)::

    {"systems": {"stack": {"kind": "fusion", "members": ["a", "b"], "splits": ["voc_val"]},
                 "a": {"kind": "model", "model": "a", "splits": ["voc_val"]},
                 "b": {"kind": "crf", "members": ["a"], "splits": ["voc_val"],
                       "tuned_on": [{"name": "voc_train", "manifest": "data/manifests/voc_train.csv"}]},
                 "c": {"kind": "stacker", "members": ["a", "b"], "folds": 5, "splits": ["voc_val"],
                       "fold_reports": {"voc_val": "results/stackers/c/voc_val.json"}}},
     "models": {"a": {"trained_on": {"name": "trainaug", "manifest": "data/manifests/trainaug.csv"},
                      "init": null, "weights": "imagenet"}},
     "weights": {"imagenet": {"trained_on": []}},
     "splits": {"voc_val": "data/manifests/voc_val.csv"}}
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from segrepro.config.types import Section
from segrepro.data.datasets import DATASETS
from segrepro.errors import UserError
from segrepro.fusion.stacker_settings import DEFAULT_FOLDS
from segrepro.json_files import read_model

if TYPE_CHECKING:
    from segrepro.config import Config

SYSTEM, MODEL, WEIGHTS = "system", "model", "weights"

# What a node is (one of the three above) and its name: a system and its model often share their name.
Node = tuple[str, str]

ROLES = {SYSTEM: "tuned on", MODEL: "trained on", WEIGHTS: "trained on"}


class Pictures(Section):
    """A list of pictures that something has seen."""

    name: str = Field(description="what messages call it, e.g. the dataset's name")
    manifest: str | None = Field(
        description="path of the manifest; every id in it counts as seen; null: of another source than all that is "
        "scored, so that no id can be shared and none is looked for"
    )


class SystemLineage(Section):
    """What a system is made of."""

    kind: Literal["model", "fusion", "crf", "stacker"]
    model: str | None = Field(None, description="kind model: the model that predicts")
    members: list[str] = Field([], description="systems it is made of; a CRF has one")
    tuned_on: list[Pictures] = Field([], description="pictures its own parameters were chosen or fitted on")
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None, description="stacker fitted by folds of the scored pictures: each predicted by one that never saw it"
    )
    fold_reports: dict[str, str] = Field(
        {}, description="split -> the stacker's own report, which says what each fold was fitted on"
    )
    splits: Annotated[list[str], Field(min_length=1)] = Field(description="what it is scored on")


class ModelLineage(Section):
    """What a model has seen, and what it started from."""

    trained_on: Pictures | None = Field(None, description="its training set, held-out pictures included")
    init: str | None = Field(None, description="the model whose weights it started from")
    weights: str | None = Field(None, description="the pretrained weights that it started from, or consists of")


class WeightsLineage(Section):
    """What is known of the pictures that pretrained weights have seen; beyond that they may have seen any."""

    trained_on: list[Pictures] = Field([], description="lists that they are known to have seen")


class Lineage(Section):
    """All systems, models and weights by name, and the manifest of each scored split."""

    systems: dict[str, SystemLineage]
    models: dict[str, ModelLineage]
    weights: dict[str, WeightsLineage] = Field({}, description="pretrained weights")
    splits: dict[str, str]

    def parents(self, node: Node) -> list[Node]:
        """Return what a node is directly made of or started from, in the declared order."""
        kind, name = node
        if kind == SYSTEM:
            system = self.systems[name]
            return ([(MODEL, system.model)] if system.model else []) + [(SYSTEM, member) for member in system.members]
        if kind == MODEL:
            model = self.models[name]
            wanted = ((MODEL, model.init), (WEIGHTS, model.weights))
            return [(kind, parent) for kind, parent in wanted if parent is not None]
        return []

    def seen(self, node: Node) -> list[Pictures]:
        """Return the lists of pictures that a node itself was trained, fitted or tuned on."""
        kind, name = node
        if kind == SYSTEM:
            return self.systems[name].tuned_on
        if kind == MODEL:
            return [self.models[name].trained_on] if self.models[name].trained_on else []
        return self.weights[name].trained_on

    def ancestors(self, system: str) -> dict[Node, tuple[Node, ...]]:
        """Return each ancestor of a system (itself first), with its shortest path from the system, nearest first."""
        paths: dict[Node, tuple[Node, ...]] = {(SYSTEM, system): ((SYSTEM, system),)}
        waiting = list(paths)
        for node in waiting:  # grows as it goes: breadth first, hence shortest paths
            for parent in self.parents(node):
                if parent not in paths:
                    paths[parent] = (*paths[node], parent)
                    waiting.append(parent)
        return paths


def check_lineage(lineage: Lineage) -> Lineage:
    """Refuse names that lead nowhere, and circles.

    Raises:
        UserError: naming the first such key, or the circle.
    """
    known = {SYSTEM: lineage.systems, MODEL: lineage.models, WEIGHTS: lineage.weights}
    nodes = [(kind, name) for kind, table in known.items() for name in table]
    for node in nodes:
        for kind, parent in lineage.parents(node):
            if parent not in known[kind]:
                raise UserError(f"lineage: {node[0]} '{node[1]}' names {kind} '{parent}', which is missing; add it.")
    for name, system in lineage.systems.items():
        if not lineage.parents((SYSTEM, name)):
            raise UserError(f"lineage: system '{name}' has neither a model nor members; say what it is made of.")
        for split in system.splits:
            if split not in lineage.splits:
                raise UserError(f"lineage: split '{split}' of system '{name}' has no manifest; add it to 'splits'.")
            if system.folds and split not in system.fold_reports:
                raise UserError(
                    f"lineage: stacker '{name}' is fitted by folds, but has no report of them on '{split}'; add it to "
                    "its 'fold_reports'."
                )
    try:
        TopologicalSorter({node: lineage.parents(node) for node in nodes}).prepare()
    except CycleError as error:
        chain = path_text(tuple(reversed(error.args[1])))
        raise UserError(f"lineage: the ancestors run in a circle: {chain}; let one of them start elsewhere.") from None
    return lineage


def path_text(path: tuple[Node, ...]) -> str:
    """Write a path of ancestors: ``stack <- edeconvnet <- fcn8s``; a model of its system's name is said once."""
    names = [path[0][1]]
    for (before, _), (kind, name) in itertools.pairwise(path):
        if kind == before or name != names[-1]:
            names.append(name)
    return " <- ".join(names)


def read_lineage(path: Path) -> Lineage:
    """Read and check a lineage.

    Raises:
        UserError: the file is missing, not JSON or of another form, a name leads nowhere, or there is a circle.
    """
    return check_lineage(read_model(path, Lineage, "make it with the workflow, which writes it from config.yaml"))


def lineage(
    config: Config,
    *,
    manifests: Mapping[str, str],
    training_sets: Mapping[str, str] | None = None,
    fold_report: str = "results/stackers/{system}/{split}.json",
) -> Lineage:
    """Derive the lineage of all systems from a resolved config.

    Weights count as trained on what their entry says (`trained_on`) and on the datasets of the models that they stand
    in for, whether they are such a model or another one starts from them. Of these datasets, one that comes from
    another source than everything that is scored, tuned or fitted on has no manifest: nobody fetches COCO for ids that
    VOC never has.

    Args:
        config: the validated config.
        manifests: path of each dataset's manifest, by dataset, and of what the config's `held` names.
        training_sets: path of the manifest that a model trains on, by model, where it is not to be its dataset's.
            A list of examples names no picture beyond the dataset's, which exists before anything trains.
        fold_report: path of a stacker's report, with ``{system}`` and ``{split}``.
    """

    def pictures(dataset: str) -> Pictures:
        return Pictures(name=dataset, manifest=manifests[dataset])

    training_sets = training_sets or {}
    models = {}
    for name, model in config.models.items():
        if not model.train:
            models[name] = ModelLineage(weights=model.weights)
            continue
        models[name] = ModelLineage(
            trained_on=Pictures(name=model.dataset, manifest=training_sets.get(name, manifests[model.dataset])),
            init=model.init.model if model.init else None,
            weights=model.init.weights if model.init else None,
        )
    splits = {split: manifests[split] for system in config.systems.values() for split in system.splits}
    held = [part.dataset for part in config.held.values()]
    scored_sources = {DATASETS[name].of_coco for name in [*splits, *held]}
    return Lineage(
        systems={name: _system_lineage(config, name, pictures, fold_report) for name in config.systems},
        models=models,
        weights={
            name: WeightsLineage(
                trained_on=[
                    pictures(dataset)
                    if DATASETS[dataset].of_coco in scored_sources
                    else Pictures(name=dataset, manifest=None)
                    for dataset in _seen_by_weights(config, name)
                ]
            )
            for name in config.weights
        },
        splits=splits,
    )


def _seen_by_weights(config: Config, name: str) -> list[str]:
    """Return the datasets that weights have seen: those of their entry, then those of models that they stand in for."""
    stood_in = [model.dataset for model in config.models.values() if model.weights == name]
    return list(dict.fromkeys([*config.weights[name].trained_on, *stood_in]))


def _system_lineage(config: Config, name: str, pictures: Callable[[str], Pictures], fold_report: str) -> SystemLineage:
    system = config.systems[name]
    tuned_on = [pictures(system.held.split)] if system.held else []
    if system.stacking is not None:
        return SystemLineage(
            kind="stacker",
            members=system.members,
            tuned_on=tuned_on,
            folds=None if system.held else system.stacking.folds or DEFAULT_FOLDS,
            fold_reports={}
            if system.held
            else {split: fold_report.format(system=name, split=split) for split in system.splits},
            splits=system.splits,
        )
    if system.crf is not None:
        return SystemLineage(kind="crf", members=system.members, tuned_on=tuned_on, splits=system.splits)
    if system.fusion is not None:
        return SystemLineage(kind="fusion", members=system.members, tuned_on=tuned_on, splits=system.splits)
    if system.model is not None:
        return SystemLineage(kind="model", model=system.model, splits=system.splits)
    # Better no audit than one that passes a new kind of system over as clean.
    raise ValueError(f"systems.{name}: of a kind whose ancestors the audit does not know")
