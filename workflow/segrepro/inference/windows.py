"""Where windows lie on a picture, and where a pixel lies on the score map of a window of a scaled, mirrored picture.

All is one axis at a time (bilinear interpolation is separable) and arithmetic only: no TensorFlow.
"""

from dataclasses import dataclass

import numpy as np

from segrepro.stores.resize import mapped_positions, taps_at


def window_starts(extent: int, window: int, stride: int) -> list[int]:
    """Return where windows start: every ``stride`` pixels (1..window), the last one shifted back to end at the border.

    One that is larger than the picture's ``extent`` covers it and starts at 0.
    """
    last = max(extent - window, 0)
    return [*range(0, last, stride), last]


@dataclass(frozen=True)
class Taps:
    """For a run of target nodes along one axis, how each is interpolated from a score map."""

    nodes: slice  # of the target axis
    lower: np.ndarray  # int32, the score before each node
    upper: np.ndarray  # int32, the score after it
    weight: np.ndarray  # float32 in [0, 1], of the upper score
    share: np.ndarray  # float32, 1 / the number of windows that see the node: shares add up to one over windows


@dataclass(frozen=True)
class ViewAxis:
    """One axis of a view: a picture scaled, perhaps mirrored, and cut into windows.

    The target grid is the picture resized to so many nodes by ``mode`` (as a score store resizes them back); as many as
    ``extent`` for every pixel.
    """

    extent: int  # of the picture, in pixels
    scaled: int  # of the scaled picture, in pixels
    nodes: int
    mode: str  # of all resizing
    mirrored: bool = False  # whether the scaled picture was mirrored along this axis
    window: int | None = None  # side of the windows, in pixels of the scaled picture; None for the whole
    window_stride: int | None = None  # pixels between windows

    def window_extent(self) -> int:
        """Return the side of every window, in pixels of the scaled picture."""
        return min(self.window or self.scaled, self.scaled)

    def starts(self) -> list[int]:
        """Return where the windows start, in pixels of the scaled picture."""
        window = self.window_extent()
        return window_starts(self.scaled, window, min(self.window_stride or window, window))

    def taps(self, start: int, map_extent: int) -> Taps:
        """Return how the score map of the window at ``start``, of some extent, gives scores of the nodes it sees."""
        positions = mapped_positions(np.arange(self.nodes, dtype=np.float64), self.nodes, self.extent, self.mode)
        positions = mapped_positions(positions, self.extent, self.scaled, self.mode)
        if self.mirrored:
            positions = self.scaled - 1 - positions
        starts = self.starts()
        seen = np.stack([self._sees(first, positions) for first in starts])
        window = seen[starts.index(start)]
        found = np.flatnonzero(window)
        nodes = slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)
        inside = mapped_positions(positions[nodes] - start, self.window_extent(), map_extent, self.mode)
        lower, upper, weight = taps_at(inside, map_extent)
        return Taps(
            nodes=nodes,
            lower=lower.astype(np.int32),
            upper=upper.astype(np.int32),
            weight=weight,
            share=(1 / seen.sum(axis=0)[nodes]).astype(np.float32),
        )

    def _sees(self, start: int, positions: np.ndarray) -> np.ndarray:
        """Say which positions of the scaled picture fall on a window's pixels; borders reach to infinity."""
        end = start + self.window_extent()
        low = -np.inf if start == 0 else start - 0.5
        high = np.inf if end == self.scaled else end - 0.5
        return (low <= positions) & (positions < high)
