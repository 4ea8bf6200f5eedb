"""A validated config with the places of its files, and which of its entries are of which kind."""

from collections.abc import Iterable
from functools import cached_property

from segrepro.config import Config
from segrepro.data.datasets import DATASETS, Dataset
from segrepro.graph import WEIGHTS, Graph, graph_of
from segrepro.options import as_options


class Plan:
    """What all functions of this package start from: the config, its folders, and its models and systems by kind.

    ``shards`` is the number of jobs that share a new score store between them.
    """

    def __init__(self, config: Config, *, shards: int = 1) -> None:
        self.config = config
        self.sample = config.scale == "sample"  # generated data and real ones stay apart
        self.data = "data/sample" if self.sample else "data"
        self.results = "results" if self.sample else f"results/{config.scale}"
        self.shards = shards

        models, systems = config.models.items(), config.systems.items()
        self.trained = [name for name, model in models if model.train]
        self.imported = [name for name, model in models if not model.train]  # published weights stand in for them
        # with a training set of their own: boxes of objects, boxes of proposals, or repeated classes
        boxes = {name: model.examples.kind for name, model in models if model.examples}
        self.own_sets = [*sorted(boxes, key=boxes.__getitem__), *(name for name, model in models if model.repeat)]
        self.predicted = [name for name, system in systems if system.model]  # whole pictures, or box by box
        self.box_by_box = [name for name, system in systems if system.proposal_wise]
        self.fused = [name for name, system in systems if system.fusion]
        self.stacked = [name for name, system in systems if system.stacking]
        self.refined = [name for name, system in systems if system.crf]
        self.tuned = [name for name in self.refined if config.systems[name].crf.search]
        # tuned or fitted on pictures that they are not scored on; of parts of datasets there are manifests
        self.holding = [name for name, system in systems if system.held]
        self.subsets = {name: part for name, part in config.held.items() if part.pictures}

    @cached_property
    def graph(self) -> Graph:
        """What each system is made of and has seen."""
        fold_report = f"{self.results}/stackers/{{system}}/{{split}}.json"
        return graph_of(self.config, manifest=self.manifest("{name}"), fold_report=fold_report)

    # ---- places

    def manifest(self, name: str) -> str:
        """Return the manifest of a dataset, or of a part of one."""
        return f"{self.data}/manifests/{name}.csv"

    def scores(self, system: str, split: str) -> str:
        """Return a system's score store."""
        return f"{self.results}/scores/{system}/{split}.h5"

    def metrics(self, system: str, split: str, ending: str = "json") -> str:
        """Return a system's metrics; ``npz``: its confusions, ``fine_grained.npz``: of boundaries and object sizes."""
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
    def training_mb(self) -> int:
        """Memory that a training asks for beside a GPU, MB; a full-size batch on CPUs needs more (docs/cost.md)."""
        return 12_000 if self.config.scale == "small" else 16_000

    @property
    def determinism(self) -> str:
        """The option of jobs with a network that need not compute the same bits each time; empty by default."""
        return "" if self.config.runtime.deterministic else "--no-deterministic"

    # ---- splits

    def dataset_of(self, split: str) -> Dataset:
        """Return the dataset that a split's pictures are of."""
        return DATASETS[self.config.dataset_of(split)]

    def scored(self, split: str | None = None) -> list[tuple[str, str]]:
        """Return the (system, split) pairs of the tables, of one split or of all, in the config's order."""
        pairs = [(name, each) for name, system in self.config.systems.items() for each in system.splits]
        return [pair for pair in pairs if split in (None, pair[1])]

    def compared_manifests(self, *, coco: bool) -> list[str]:
        """Return manifests of the COCO datasets, or of the others, that models train on or systems are scored on.

        Also of those that pretrained weights have seen, where the audit reads them.
        """
        used = {self.config.models[name].dataset for name in self.trained} | set(self.graph.splits)
        for weights in self.graph.of_kind(WEIGHTS, *self.graph.systems):
            # a dataset whose archives are left out may have a part that is known
            seen = {pictures.name for pictures in self.graph.weights[weights].trained_on if pictures.manifest}
            used |= {DATASETS[name].of_voc if self.config.missing_archives(name) else name for name in seen}
        return [self.manifest(name) for name in sorted(used) if DATASETS[name].of_coco == coco]

    @property
    def is_compared(self) -> bool:
        """Whether COCO is compared with VOC and SBD by sight: ids tell VOC's and SBD's pictures apart only."""
        return all(self.compared_manifests(coco=coco) for coco in (True, False))

    @property
    def bootstrap(self) -> str:
        """The options that say how intervals are made, in tables and figures alike."""
        return f"{as_options(self.config.statistics, leave_out=['seed_deviation'])} --seed {self.config.seed}"


def one_of(names: Iterable[str]) -> str:
    """Return a wildcard's constraint: one of these names, or nothing at all where there are none."""
    return "|".join(names) or "(?!)"
