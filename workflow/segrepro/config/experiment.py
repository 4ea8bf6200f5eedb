"""The whole config, of the parts that the modules beside this one hold."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.config.crf import CrfSearch
from segrepro.config.data import Archives, Coco, DatasetChecks, LabelChecks, PicturesKind, Proposals, SampleData
from segrepro.config.detail import Detail
from segrepro.config.figures import Figures
from segrepro.config.models import Model, Weights
from segrepro.config.networks import Network
from segrepro.config.protocols import Protocol
from segrepro.config.references import reference_problems
from segrepro.config.systems import System
from segrepro.config.tables import Ablation, StatisticsSettings
from segrepro.config.types import Name, Positive, Section


class Submission(Section):
    """Archives for VOC's evaluation server; see segrepro.report.submission."""

    systems: list[str] = Field([], description="systems whose answers to VOC's test pictures are packed")


class Runtime(Section):
    """What changes how a run goes, but no result: changing it reruns nothing."""

    checkpoint_every: Positive = Field(description="steps between two checkpoints")
    tensorboard: bool = Field(False, description="also log to results/models/<model>/tensorboard (package needed)")
    shards: Positive = Field(1, description="jobs that share a split's prediction, or its CRF, between them")
    fetch_attempts: Positive = Field(5, description="attempts a mirror, in a row without progress")
    fetch_stall_seconds: Positive = Field(60, description="seconds (almost) without a byte before an attempt ends")


class Config(Section):
    """The whole experiment."""

    scale: Literal["sample", "full"]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="of initial weights, shuffling, augmentation")
    archives_dir: str | None = Field(None, description="folder that holds the archives already; used in place")
    archives: Archives
    sample: SampleData | None = Field(None, description="only for scale: sample")
    coco: Coco
    voc2011_val: str | None = Field(None, description="VOC 2011's segmentation val list, for FCN's exact seg11valid")
    datasets: dict[str, DatasetChecks]
    label_checks: LabelChecks
    weights: dict[Name, Weights] = Field({}, description="files of pretrained weights")
    proposals: dict[Name, Proposals] = Field({}, description="ways to find object proposals")
    networks: dict[Name, Network]
    protocols: dict[Name, Protocol]
    models: dict[Name, Model]
    systems: dict[Name, System]
    detail: Detail = Detail()
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
        return "real_sample" if self.scale == "sample" else "published"

    @property
    def tuning(self) -> dict[str, CrfSearch]:
        """The searches of CRFs by the name of their pictures."""
        searches = [system.crf.search for system in self.systems.values() if system.crf and system.crf.search]
        return {search.split: search for search in searches}

    def dataset_of(self, split: str) -> str:
        """Return the dataset that a split's pictures are of: itself, but for the part that a CRF is tuned on."""
        tuning = self.tuning
        return tuning[split].tune_on if split in tuning else split

    @model_validator(mode="after")
    def _references(self) -> "Config":
        if problems := reference_problems(self):
            raise ValueError("\n".join(problems))
        return self
