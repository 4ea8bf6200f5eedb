"""The part of the config that says what is measured beside mIoU: changing it reruns evaluation, and no prediction."""

from pydantic import Field, model_validator

from segrepro.evaluation.detail_settings import BOUNDARY_RATIO, OBJECT_SIDES, TRIMAP_WIDTHS, DetailSettings
from segrepro.schema import Section


class Detail(Section):
    """What is measured near boundaries and by size; see segrepro.evaluation.detail."""

    boundary_ratio: float = Field(BOUNDARY_RATIO, description="distance of boundary IoU, share of the diagonal")
    trimap_widths: list[int] = Field(list(TRIMAP_WIDTHS), description="bands around boundaries, in pixels, increasing")
    object_sides: list[int] = Field(
        list(OBJECT_SIDES), description="where sizes of objects part, as sides of squares in pixels, increasing"
    )

    @model_validator(mode="after")
    def _ranges(self) -> "Detail":
        DetailSettings(self.boundary_ratio, tuple(self.trimap_widths), tuple(self.object_sides))
        return self
