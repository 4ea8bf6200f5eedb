"""What is made of what: systems, the models and systems below them, pretrained weights, object proposals.

This is the only walk along the ancestors. Whoever asks what a system descends from asks a `Graph`: the checks of the
config (circles), the leakage audit, digests, provenance, the server's competitions, the page and the rules.

`graph_of` reads it off the config. The workflow also writes it as JSON, for verbs that are run without a config
(`segrepro audit`, `segrepro page`)::

    {"systems": {"stack": {"kind": "fusion", "members": ["a", "b"], "splits": ["voc_val"]},
                 "a": {"kind": "model", "model": "a", "splits": ["voc_val"]},
                 "b": {"kind": "crf", "members": ["a"], "splits": ["voc_val"],
                       "tuned_on": [{"name": "voc_train", "manifest": "data/manifests/voc_train.csv"}]},
                 "c": {"kind": "stacking", "members": ["a", "b"], "by_folds": true, "splits": ["voc_val"],
                       "fold_reports": {"voc_val": "results/stackers/c/voc_val.json"}}},
     "models": {"a": {"trained_on": {"name": "trainaug", "manifest": "data/manifests/trainaug.csv"},
                      "init": null, "weights": "imagenet", "proposals": "edge_boxes"}},
     "weights": {"imagenet": {"trained_on": []}},
     "proposals": ["edge_boxes"],
     "splits": {"voc_val": "data/manifests/voc_val.csv"}}
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from segrepro.data.datasets import DATASETS
from segrepro.errors import UserError
from segrepro.json_files import read_model
from segrepro.schema import Section

if TYPE_CHECKING:
    from segrepro.config import Config

SYSTEM, MODEL, WEIGHTS, PROPOSALS = "system", "model", "weights", "proposals"

# What a node is (one of the four above) and its name: a system and its model often share their name.
Node = tuple[str, str]

Thing = TypeVar("Thing", bound=Hashable)

ROLES = {SYSTEM: "tuned on", MODEL: "trained on", WEIGHTS: "trained on"}


class Pictures(Section):
    """A list of pictures that something has seen."""

    name: str = Field(description="what messages call it, e.g. the dataset's name")
    manifest: str | None = Field(
        description="path of the manifest; every id in it counts as seen; null: of another source than all that is "
        "scored, so that no id can be shared and none is looked for; or not at hand (`unknown`)"
    )
    unknown: str | None = Field(
        None, description="said in the audit's column `unlisted` where the manifest has not all of its pictures"
    )


class SystemNode(Section):
    """What a system is made of."""

    kind: Literal["model", "fusion", "crf", "stacking"]
    model: str | None = Field(None, description="kind model: the model that predicts")
    members: list[str] = Field([], description="systems it is made of; a CRF has one")
    proposals: str | None = Field(None, description="the object proposals whose boxes it predicts")
    tuned_on: list[Pictures] = Field([], description="pictures its own parameters were chosen or fitted on")
    by_folds: bool = Field(
        False, description="stacker fitted by folds of the scored pictures: each predicted by one that never saw it"
    )
    fold_reports: dict[str, str] = Field(
        {}, description="split -> the stacker's own report, which says what each fold was fitted on"
    )
    splits: Annotated[list[str], Field(min_length=1)] = Field(description="what it is scored on")


class ModelNode(Section):
    """What a model has seen, and what it started from."""

    trained_on: Pictures | None = Field(None, description="its training set, held-out pictures included")
    init: str | None = Field(None, description="the model whose weights it started from")
    weights: str | None = Field(None, description="the pretrained weights that it started from, or consists of")
    proposals: str | None = Field(None, description="the object proposals that it was trained on")


class WeightsNode(Section):
    """What is known of the pictures that pretrained weights have seen; beyond that they may have seen any."""

    trained_on: list[Pictures] = Field([], description="lists that they are known to have seen")


class Graph(Section):
    """All systems, models, weights and proposals by name, and the manifest of each scored split."""

    systems: dict[str, SystemNode]
    models: dict[str, ModelNode]
    weights: dict[str, WeightsNode] = Field({}, description="pretrained weights")
    proposals: list[str] = Field([], description="ways to find object proposals")
    splits: dict[str, str]

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in the declared order."""
        known = {SYSTEM: self.systems, MODEL: self.models, WEIGHTS: self.weights, PROPOSALS: self.proposals}
        return [(kind, name) for kind, names in known.items() for name in names]

    def parents(self, node: Node) -> list[Node]:
        """Return what a node is directly made of or started from, as declared; nothing for an unknown name."""
        kind, name = node
        if kind == SYSTEM and name in self.systems:
            system = self.systems[name]
            members = [(SYSTEM, member) for member in system.members]
            return [*_given((MODEL, system.model)), *members, *_given((PROPOSALS, system.proposals))]
        if kind == MODEL and name in self.models:
            model = self.models[name]
            return _given((MODEL, model.init), (WEIGHTS, model.weights), (PROPOSALS, model.proposals))
        return []

    def seen(self, node: Node) -> list[Pictures]:
        """Return the lists of pictures that a node itself was trained, fitted or tuned on."""
        kind, name = node
        if kind == SYSTEM:
            return self.systems[name].tuned_on
        if kind == MODEL:
            return [self.models[name].trained_on] if self.models[name].trained_on else []
        return self.weights[name].trained_on if kind == WEIGHTS else []

    def ancestors(self, system: str) -> dict[Node, tuple[Node, ...]]:
        """Return each ancestor of a system (itself first), with its shortest path from the system, nearest first."""
        return walk([(SYSTEM, system)], self.parents)

    def of_kind(self, kind: str, *systems: str) -> list[str]:
        """Return the names of the nodes of one kind among systems and their ancestors, nearest first."""
        return [name for each, name in walk([(SYSTEM, system) for system in systems], self.parents) if each == kind]

    def circle(self) -> tuple[Node, ...]:
        """Return a path of parents from a node back to itself; empty where there is none, as must be."""
        nodes = self.nodes
        try:
            TopologicalSorter({node: self.parents(node) for node in nodes}).prepare()
        except CycleError as error:
            path = error.args[1][:0:-1]
            first = min(range(len(path)), key=lambda place: nodes.index(path[place]))
            return (*path[first:], *path[:first], path[first])
        return ()


def _given(*nodes: tuple[str, str | None]) -> list[Node]:
    return [(kind, name) for kind, name in nodes if name is not None]


def walk(start: Iterable[Thing], parents: Callable[[Thing], Iterable[Thing]]) -> dict[Thing, tuple[Thing, ...]]:
    """Return some nodes and all that they are made of, each with its shortest path from the first, nearest first."""
    paths = {node: (node,) for node in start}
    waiting = list(paths)
    for node in waiting:  # grows as it goes: breadth first, hence shortest paths
        for parent in parents(node):
            if parent not in paths:
                paths[parent] = (*paths[node], parent)
                waiting.append(parent)
    return paths


def path_text(path: tuple[Node, ...]) -> str:
    """Write a path of ancestors: ``stack <- edeconvnet <- fcn8s``; a model of its system's name is said once."""
    names = [path[0][1]]
    for (before, _), (kind, name) in itertools.pairwise(path):
        if kind == before or name != names[-1]:
            names.append(name)
    return " <- ".join(names)


def check_graph(graph: Graph) -> Graph:
    """Refuse names that lead nowhere, and circles; a `UserError` names the first such key, or the circle."""
    nodes = set(graph.nodes)
    for node in graph.nodes:
        for kind, parent in graph.parents(node):
            if (kind, parent) not in nodes:
                raise UserError(f"lineage: {node[0]} '{node[1]}' names {kind} '{parent}', which is missing; add it.")
    for name, system in graph.systems.items():
        if not graph.parents((SYSTEM, name)):
            raise UserError(f"lineage: system '{name}' has neither a model nor members; say what it is made of.")
        for split in system.splits:
            if split not in graph.splits:
                raise UserError(f"lineage: split '{split}' of system '{name}' has no manifest; add it to 'splits'.")
            if system.by_folds and split not in system.fold_reports:
                raise UserError(
                    f"lineage: stacker '{name}' is fitted by folds, but has no report of them on '{split}'; add it to "
                    "its 'fold_reports'."
                )
    if circle := graph.circle():
        chain = path_text(circle)
        raise UserError(f"lineage: the ancestors run in a circle: {chain}; let one of them start elsewhere.")
    return graph


def read_graph(path: Path) -> Graph:
    """Read and check a graph; a `UserError` as of `read_model` and `check_graph`."""
    return check_graph(read_model(path, Graph, "make it with the workflow, which writes it from config.yaml"))


def graph_of(
    config: Config,
    *,
    manifest: str = "data/manifests/{name}.csv",
    fold_report: str = "results/stackers/{system}/{split}.json",
) -> Graph:
    """Read the graph off a config, whose names may still lead nowhere.

    A model counts as trained on its dataset's manifest: a list of examples names no picture beyond it. Weights count as
    trained on what their entry says (`trained_on`) and on the datasets of the models that they stand in for, whether
    they are such a model or another one starts from them. Of these datasets, one that comes from another source than
    everything that is scored, tuned or fitted on has no manifest: nobody fetches COCO for ids that VOC never has. One
    whose archives are left out (`archives.sbd: null`) counts with its pictures of VOC, where they are known without.

    Args:
        config: the config.
        manifest: path of the manifest of a dataset, or of a part of one that the config's `held` names.
        fold_report: path of a stacker's report.
    """

    def pictures(dataset: str) -> Pictures:
        return Pictures(name=dataset, manifest=manifest.format(name=dataset))

    scored = dict.fromkeys(split for system in config.systems.values() for split in system.splits)
    sources = {_is_of_coco(name) for name in [*scored, *(part.dataset for part in config.held.values())]}

    def seen_before(dataset: str) -> Pictures:
        if _is_of_coco(dataset) not in sources:
            return Pictures(name=dataset, manifest=None)
        if not config.missing_archives(dataset):
            return pictures(dataset)
        if part := DATASETS[dataset].of_voc:
            unknown = f"of {dataset} only {part} is looked for"
            return Pictures(name=dataset, manifest=manifest.format(name=part), unknown=unknown)
        return Pictures(name=dataset, manifest=None, unknown=f"{dataset} is not looked for")

    return Graph(
        systems={name: _system_node(config, name, pictures, fold_report) for name in config.systems},
        models={
            name: ModelNode(
                trained_on=pictures(model.dataset) if model.train else None,
                init=model.init.model if model.init else None,
                weights=model.init.weights if model.init else model.weights,
                proposals=getattr(model.examples, "proposals", None),
            )
            for name, model in config.models.items()
        },
        weights={
            name: WeightsNode(trained_on=[seen_before(dataset) for dataset in _seen_by_weights(config, name)])
            for name in config.weights
        },
        proposals=list(config.proposals),
        splits={split: manifest.format(name=split) for split in scored},
    )


def _is_of_coco(dataset: str) -> bool:
    return dataset in DATASETS and DATASETS[dataset].of_coco


def _seen_by_weights(config: Config, name: str) -> list[str]:
    """Return the datasets that weights have seen: those of their entry, then those of models that they stand in for."""
    stood_in = [model.dataset for model in config.models.values() if model.weights == name]
    return list(dict.fromkeys([*config.weights[name].trained_on, *stood_in]))


def _system_node(config: Config, name: str, pictures: Callable[[str], Pictures], fold_report: str) -> SystemNode:
    system = config.systems[name]
    by_folds = system.stacking is not None and system.held is None
    return SystemNode(
        kind="model" if system.model is not None else system.combination,
        model=system.model,
        members=system.members,
        proposals=system.proposal_wise.proposals if system.proposal_wise else None,
        tuned_on=[pictures(system.held.split)] if system.held else [],
        by_folds=by_folds,
        fold_reports={split: fold_report.format(system=name, split=split) for split in system.splits if by_folds},
        splits=system.splits,
    )
