"""The part of the config that says what the figures show: changing it reruns no training and no prediction."""

from typing import Annotated

from pydantic import Field, model_validator

from segrepro.schema import Count, PlainName, Positive, Section


class Ranked(Section):
    """How many pictures the grid chooses by each rule."""

    best: Count = Field(1, description="number of pictures with the largest mean of the systems' mIoUs")
    median: Count = Field(2, description="number of pictures around the median of these means")
    worst: Count = Field(1, description="number of pictures with the smallest mean")
    disputed: Count = Field(2, description="number of pictures on which the systems' labels differ most")


class Grid(Ranked):
    """The figure that shows picture, ground truth and predictions."""

    ids: dict[str, list[PlainName]] = Field({}, description="ids of the pictures to show instead, by split")
    systems: list[str] = Field([], description="systems to show, in order; none: all")


class ClassBars(Section):
    """The figure of the IoU of each class."""

    systems: Annotated[list[str], Field(max_length=7)] = Field(
        [], description="systems to show, in order; more than seven cannot be told apart"
    )


class WeakClasses(Section):
    """The figure of the classes that a system is weakest in, and what other systems make of them."""

    classes: Positive = Field(6, description="number of classes")
    baseline: str = Field(description="system whose weakest classes are shown")
    systems: Annotated[list[str], Field(max_length=6)] = Field(
        description="other systems, in order; none: no such figure"
    )

    @model_validator(mode="after")
    def _others(self) -> "WeakClasses":
        if self.baseline in self.systems:
            raise ValueError(f"systems: '{self.baseline}' is the baseline already; name only the others")
        return self


class Compared(Section):
    """The figures that compare systems by their metrics: trimap curves, object sizes, confusion matrices."""

    systems: list[str] = Field([], description="systems to show, in order; none: all")


class Refined(Section):
    """The figure of a CRF: before and after."""

    rows: Positive = Field(5, description="number of pictures, chosen by their change in mIoU")


class Examples(Section):
    """The contact sheet of training examples."""

    rows: Positive = Field(6, description="rows of tiles")
    columns: Positive = Field(8, description="tiles per row")


class ProposalMaps(Section):
    """The figure of a label map that grows with the proposals."""

    rows: Positive = Field(4, description="number of pictures; those with the most objects are shown")
    counts: list[Positive] = Field(
        [1, 5, 10, 50],
        description="proposals after which the map is shown; the last is as many as the system predicts by",
    )


class Figures(Section):
    """Figure settings; changing them reruns no training and no prediction."""

    grid: Grid
    compared: Compared = Compared()
    class_bars: ClassBars = ClassBars()
    crf: Refined = Refined()
    examples: Examples = Examples()
    proposals: ProposalMaps = ProposalMaps()
    weak_classes: WeakClasses | None = Field(None, description="null: no such figure")
