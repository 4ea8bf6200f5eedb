"""The whole config, of the parts that the modules beside this one hold."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.config.data import (
    Archives,
    Coco,
    DatasetChecks,
    LabelChecks,
    Part,
    Patience,
    PicturesKind,
    SampleData,
)
from segrepro.config.figures import Figures
from segrepro.config.fine_grained import FineGrained
from segrepro.config.models import Model, Weights
from segrepro.config.networks import Network
from segrepro.config.proposals import ProposalRecall, Proposals
from segrepro.config.protocols import Protocol
from segrepro.config.references import reference_problems
from segrepro.config.systems import System
from segrepro.config.tables import Ablation, StatisticsSettings
from segrepro.data.datasets import DATASETS, FOLDERS
from segrepro.schema import Count, Name, Positive, PositiveFloat, Section


class Submission(Section):
    """Archives for VOC's evaluation server; see segrepro.report.submission."""

    systems: list[str] = Field([], description="systems whose answers to VOC's test pictures are packed")


class Runtime(Section):
    """What changes how a run goes, but no result: changing it reruns nothing."""

    checkpoint_minutes: PositiveFloat = Field(10.0, description="minutes between two checkpoints")
    checkpoint_every: Positive | None = Field(
        None, description="steps between two checkpoints, in addition to the minutes"
    )
    deterministic: bool = Field(
        True, description="compute the same bits each time; false: whatever is fastest on a GPU (docs/cost.md)"
    )
    tensorboard: bool = Field(False, description="also write results/models/<model>/tensorboard (needs its package)")
    gpus: Positive = Field(
        1, description="GPUs that share each micro-batch of a training, which stays the training of one GPU"
    )
    shards: Positive = Field(1, description="jobs that share a split's prediction, or its CRF, between them")
    check_room: bool = Field(
        True, description="refuse to start where a disk has less room than the run is estimated to need"
    )
    fetch: Patience = Patience()


class NearDuplicates(Section):
    """Comparison of COCO's pictures with VOC's and SBD's; see segrepro.evaluation.near_duplicates.

    With 48 bits nine in ten of the copies with 2 % cropped off each side are found, and all that were only saved again,
    resized or brightened; the nearest unrelated pair was at 93 of half a million pairs. COCO with VOC has 2,600 times
    as many, of which some may be nearer, which is why there is a sheet to look at.
    """

    max_distance: Annotated[int, Field(ge=0, le=319)] = Field(
        48, description="number of the 320 bits in which near-duplicates may differ"
    )
    pairs: Positive = Field(24, description="pairs on the contact sheet, nearest first")


class Config(Section):
    """The whole experiment."""

    scale: Literal["sample", "small", "released", "full"]
    seed: Count = Field(description="seed of initial weights, shuffling and augmentation")
    archives_dir: str | None = Field(None, description="folder that has the archives already; they are used in place")
    archives: Archives
    sample: SampleData | None = Field(None, description="only for scale: sample")
    coco: Coco
    voc2011_val: str | None = Field(
        None, description="path of VOC 2011's segmentation val list, for FCN's exact seg11valid"
    )
    datasets: dict[str, DatasetChecks]
    label_checks: LabelChecks
    weights: dict[Name, Weights] = Field({}, description="files of pretrained weights")
    proposals: dict[Name, Proposals] = Field({}, description="ways to find object proposals")
    proposal_recall: ProposalRecall = ProposalRecall()
    networks: dict[Name, Network]
    protocols: dict[Name, Protocol]
    models: dict[Name, Model]
    systems: dict[Name, System]
    fine_grained: FineGrained = FineGrained()
    near_duplicates: NearDuplicates = NearDuplicates()
    figures: Figures
    submission: Submission = Submission()
    statistics: StatisticsSettings = StatisticsSettings()
    ablations: dict[Name, Ablation] = Field({}, description="systems that are compared with a baseline, by question")
    runtime: Runtime

    @property
    def pictures(self) -> PicturesKind:
        """What systems are trained and scored on; whether it is generated is told by where the archives come from."""
        if any(archive.generated for archive in self.archives.given):
            return "generated"
        return {"sample": "real_sample", "small": "small"}.get(self.scale, "published")

    def missing_archives(self, dataset: str) -> list[str]:
        """Return the keys of the archives that a dataset is made of and that are null; nothing for an unknown one."""
        folders = DATASETS[dataset].needs if dataset in DATASETS else ()
        keys = [key for folder in folders for key in FOLDERS[folder].archives]
        return [key for key in keys if getattr(self.archives, key) is None]

    @property
    def listed(self) -> list[str]:
        """The datasets that `datasets` names and the archives are there for."""
        return [name for name in self.datasets if not self.missing_archives(name)]

    @property
    def held(self) -> dict[str, Part]:
        """The pictures that CRFs are tuned, stackers fitted and members of votes ranked on, by name."""
        parts = [system.held for system in self.systems.values() if system.held]
        return {part.split: part for part in parts}

    def dataset_of(self, split: str) -> str:
        """Return the dataset that a split's pictures are of: itself, but for the part of one that `held` names."""
        held = self.held
        return held[split].dataset if split in held else split

    @model_validator(mode="after")
    def _references(self) -> "Config":
        if problems := [*reference_problems(self)]:
            raise ValueError("\n".join(problems))
        return self
