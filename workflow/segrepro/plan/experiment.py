"""A validated config with the places of its files, and which of its entries are of which kind."""

from collections.abc import Iterable
from functools import cached_property

from segrepro.config import Config
from segrepro.config.data import Part
from segrepro.data.datasets import DATASETS, Dataset
from segrepro.graph import Graph, graph_of
from segrepro.options import as_options


class Plan:
    """What all functions of this package start from.

    Attributes:
        config: the validated config.
        data: the folder of archives, datasets, manifests and proposals; generated and real ones stay apart.
        results: the folder of all that is made of them.
        shards: jobs that share a new score store between them.
    """

    def __init__(self, config: Config, *, shards: int = 1) -> None:
        self.config = config
        self.sample = config.scale == "sample"
        self.data = "data/sample" if self.sample else "data"
        self.results = "results" if self.sample else "results/full"
        self.shards = shards

    @cached_property
    def graph(self) -> Graph:
        """What each system is made of and has seen."""
        return graph_of(
            self.config,
            manifest=self.manifest("{name}"),
            fold_report=f"{self.results}/stackers/{{system}}/{{split}}.json",
        )

    # ---- places

    def manifest(self, name: str) -> str:
        """Return the manifest of a dataset, or of a part of one."""
        return f"{self.data}/manifests/{name}.csv"

    def scores(self, system: str, split: str) -> str:
        """Return a system's score store."""
        return f"{self.results}/scores/{system}/{split}.h5"

    def metrics(self, system: str, split: str, ending: str = "json") -> str:
        """Return a system's metrics; ``npz``: its confusions, ``detail.npz``: of boundaries and object sizes."""
        return f"{self.results}/metrics/{system}/{split}.{ending}"

    def model(self, name: str, file: str = "model.keras") -> str:
        """Return a file of a model's folder."""
        return f"{self.results}/models/{name}/{file}"

    def proposals(self, name: str, dataset: str) -> str:
        """Return the object proposals of a dataset."""
        return f"{self.data}/proposals/{name}/{dataset}.h5"

    def passed(self, dataset: str) -> str:
        """Return what says that a dataset has passed its label checks."""
        return f"{self.results}/checks/{dataset}.passed"

    # ---- how much a job gets

    def cores(self, full: int) -> int:
        """Return the threads of a job over pictures: the sample has few of them, so run several jobs instead."""
        return 1 if self.sample else full

    @property
    def network_threads(self) -> int:
        """Threads of a job with a network: a sample-sized one gains little from a second core."""
        return 1 if self.sample else 8

    @property
    def network_gpus(self) -> int:
        """GPUs of a job with a network that takes one at most: a sample-sized one gains nothing from it."""
        return 0 if self.sample else 1

    @property
    def determinism(self) -> str:
        """The option of jobs with a network that need not compute the same bits each time; empty by default."""
        return "" if self.config.runtime.deterministic else "--no-deterministic"

    # ---- kinds

    @cached_property
    def subsets(self) -> dict[str, Part]:
        """Parts of datasets that CRFs are tuned on, or stackers fitted on: they have manifests of their own."""
        return {name: part for name, part in self.config.held.items() if part.pictures}

    @cached_property
    def trained(self) -> list[str]:
        """Models that train here."""
        return [name for name, model in self.config.models.items() if model.train]

    @cached_property
    def imported(self) -> list[str]:
        """Models that published weights stand in for."""
        return [name for name, model in self.config.models.items() if not model.train]

    @cached_property
    def repeating(self) -> list[str]:
        """Models that train on some pictures several times in an epoch."""
        return [name for name in self.trained if self.config.models[name].repeat]

    @cached_property
    def on_objects(self) -> list[str]:
        """Models that train on boxes of objects."""
        return self._on_boxes_of("objects")

    @cached_property
    def on_proposals(self) -> list[str]:
        """Models that train on boxes of object proposals."""
        return self._on_boxes_of("proposals")

    def _on_boxes_of(self, kind: str) -> list[str]:
        models = self.config.models.items()
        return [name for name, model in models if model.examples and model.examples.kind == kind]

    @property
    def own_sets(self) -> list[str]:
        """Models with a training set of their own: boxes, or repeated classes."""
        return [*self.on_boxes, *self.repeating]

    @property
    def on_boxes(self) -> list[str]:
        """Models that train on boxes."""
        return [*self.on_objects, *self.on_proposals]

    @cached_property
    def box_by_box(self) -> list[str]:
        """Those that a model predicts box by box; the others predict whole pictures."""
        return [name for name, system in self.config.systems.items() if system.proposal_wise]

    @cached_property
    def fused(self) -> list[str]:
        """Systems that combine others by a rule."""
        return [name for name, system in self.config.systems.items() if system.fusion]

    @cached_property
    def stacked(self) -> list[str]:
        """Systems that combine others by a stacker."""
        return [name for name, system in self.config.systems.items() if system.stacking]

    @cached_property
    def refined(self) -> list[str]:
        """Systems that are a CRF on another."""
        return [name for name, system in self.config.systems.items() if system.crf]

    @cached_property
    def tuned(self) -> list[str]:
        """CRFs whose parameters are searched."""
        return [name for name in self.refined if self.config.systems[name].crf.search]

    @cached_property
    def holding(self) -> list[str]:
        """Systems that are tuned or fitted on pictures that they are not scored on."""
        return [name for name, system in self.config.systems.items() if system.held]

    @cached_property
    def predicted(self) -> list[str]:
        """Systems that a model predicts."""
        return [name for name, system in self.config.systems.items() if system.model]

    def dataset_of(self, split: str) -> Dataset:
        """Return the dataset that a split's pictures are of."""
        return DATASETS[self.config.dataset_of(split)]

    def scored(self, split: str | None = None) -> list[tuple[str, str]]:
        """Return the (system, split) pairs of the tables, of one split or of all, in the config's order."""
        pairs = [(name, each) for name, system in self.config.systems.items() for each in system.splits]
        return [pair for pair in pairs if split in (None, pair[1])]

    @property
    def bootstrap(self) -> str:
        """The options that say how intervals are made, in tables and figures alike."""
        return f"{as_options(self.config.statistics, leave_out=['seed_deviation'])} --seed {self.config.seed}"


def one_of(names: Iterable[str]) -> str:
    """Return a wildcard's constraint: one of these names, or nothing at all where there are none."""
    return "|".join(names) or "(?!)"
