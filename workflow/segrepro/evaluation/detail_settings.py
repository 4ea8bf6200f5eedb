"""How detail is measured: the numbers that `segrepro.evaluation.detail` takes, and their defaults."""

import itertools
from dataclasses import dataclass

# Of boundary IoU's authors; of Kraehenbuehl and Koltun's curves, up to 40 pixels; of COCO's small and large objects.
BOUNDARY_RATIO = 0.02
TRIMAP_WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40)
OBJECT_SIDES = (32, 96)


@dataclass(frozen=True)
class DetailSettings:
    """How detail is measured.

    Attributes:
        boundary_ratio: distance of boundary IoU, as a share of the picture's diagonal.
        trimap_widths: of the bands, in pixels, increasing.
        object_sides: where ranges of sizes meet, as the side of a square in pixels, increasing.
    """

    boundary_ratio: float = BOUNDARY_RATIO
    trimap_widths: tuple[int, ...] = TRIMAP_WIDTHS
    object_sides: tuple[int, ...] = OBJECT_SIDES

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a value is out of range, or a list is empty or not increasing.
        """
        if not 0 < self.boundary_ratio < 1:
            raise ValueError(f"boundary_ratio: is {self.boundary_ratio}; give a share of the diagonal between 0 and 1")
        for name in ("trimap_widths", "object_sides"):
            values = getattr(self, name)
            if not values or values[0] < 1 or any(a >= b for a, b in itertools.pairwise(values)):
                raise ValueError(f"{name}: is {list(values)}; give increasing numbers of pixels, 1 or more")
