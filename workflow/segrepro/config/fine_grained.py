"""The part of the config that says what is measured besides mIoU: a change reruns evaluation, and no prediction."""

import itertools
from typing import Annotated

from pydantic import Field, model_validator

from segrepro.schema import Fraction, Positive, Section

Sides = Annotated[list[Positive], Field(min_length=1)]


class FineGrained(Section):
    """Fine-grained metrics, near boundaries and by object size; see segrepro.evaluation.fine_grained.

    The defaults are those of boundary IoU's authors, of Kraehenbuehl and Koltun's curves (up to 40 pixels), and of
    COCO's small and large objects.
    """

    boundary_ratio: Fraction = Field(0.02, description="distance of boundary IoU, as a share of the picture's diagonal")
    trimap_widths: Sides = Field(
        [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40],
        description="bands around boundaries, in pixels, increasing",
    )
    object_sides: Sides = Field(
        [32, 96], description="bounds between sizes of objects, as sides of squares in pixels, increasing"
    )

    @model_validator(mode="after")
    def _increasing(self) -> "FineGrained":
        for name in ("trimap_widths", "object_sides"):
            values = getattr(self, name)
            if any(a >= b for a, b in itertools.pairwise(values)):
                raise ValueError(f"{name}: is {values}; give increasing numbers of pixels, 1 or more")
        return self
