"""The parts of the config that only tables and statistics read: changing them reruns no training and no prediction."""

from typing import Annotated

from pydantic import Field, model_validator

from segrepro.labels import VOC_CLASSES
from segrepro.schema import Count, Fraction, Positive, Section

Percent = Annotated[float, Field(ge=0, le=100)]

ROUNDING = 0.1  # percentage points: the server prints class scores and their mean with one to three decimals


class Intervals(Section):
    """Bootstrap intervals over pictures; see segrepro.evaluation.bootstrap."""

    resamples: Positive = Field(2000, description="number of resamples of the pictures; more make the ends steadier")
    confidence: Fraction = Field(0.95, description="confidence level of the intervals")


class Bootstrap(Intervals):
    """How a verb makes intervals: the experiment's seed draws the pictures."""

    seed: Count = Field(0, description="seed of the resampling")


class StatisticsSettings(Intervals):
    """Bootstrap intervals over pictures; see segrepro.evaluation.bootstrap."""

    seed_deviation: Annotated[float, Field(ge=0, le=100)] = Field(
        0.3,
        description="standard deviation of mIoU over seeds, percentage points, where report/spread.csv has none. Three "
        "trainings of DeepLabv3+ on VOC in UniMatch (issue 61): 77.21 to 77.54, and its authors expect a range of 0.6",
    )


class Server(Section):
    """The VOC evaluation server's answer to a submission of this run, in percent."""

    miou: Percent
    per_class: dict[str, Percent] = Field({}, description="class -> IoU, background included; some or all")
    url: str | None = Field(None, description="the server's anonymous result page")

    @model_validator(mode="after")
    def _classes(self) -> "Server":
        if unknown := [name for name in self.per_class if name not in VOC_CLASSES]:
            raise ValueError(f"per_class: {unknown[0]!r} names no class; there are {', '.join(VOC_CLASSES)}")
        if len(self.per_class) == len(VOC_CLASSES):
            mean = sum(self.per_class.values()) / len(VOC_CLASSES)
            if abs(mean - self.miou) > ROUNDING:
                raise ValueError(f"miou: is {self.miou}, but the mean of 'per_class' is {mean:.2f}; copy both again")
        return self


class Ablation(Section):
    """Systems that differ from a baseline in what a question asks."""

    baseline: str = Field(description="the system that the others are compared with")
    systems: Annotated[list[str], Field(min_length=1)] = Field(description="the others, in order")
    note: str | None = Field(None, description="what differs apart from what the question asks")

    @model_validator(mode="after")
    def _once(self) -> "Ablation":
        names = [self.baseline, *self.systems]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"systems: {repeated[0]!r} is named twice, or is the baseline; name each system once")
        return self
