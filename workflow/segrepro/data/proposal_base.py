"""What the methods that propose boxes have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.config.proposals import ProposalSettings


@dataclass(frozen=True)
class ProposalMethod(ABC):
    """What a method does for one picture, by the settings of its section."""

    settings: ProposalSettings

    @property
    def name(self) -> str:
        """The method's name in the config."""
        return self.settings.method

    def find(self, picture: np.ndarray, *, id: str, seed: int) -> np.ndarray:
        """Return a picture's proposals.

        Args:
            picture: RGB, uint8 of shape (height, width, 3).
            id: the picture's id, where files go by it.
            seed: of what chance there is in the method.

        Returns:
            int32 of shape (n, 4): x1, y1, x2, y2 in pixels, half-open, inside the picture, each once, best first;
            n is between 0 and ``max_boxes``.

        Raises:
            UserError: a file that the method needs for this picture cannot be used.
        """
        height, width = picture.shape[:2]
        boxes = np.clip(self._ranked(picture, id, seed), 0, [width, height, width, height])
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= self.settings.min_side]
        _, first = np.unique(boxes, axis=0, return_index=True)
        return boxes[np.sort(first)][: self.settings.max_boxes].astype(np.int32)

    @abstractmethod
    def _ranked(self, picture: np.ndarray, id: str, seed: int) -> np.ndarray:
        """Boxes (n, 4), best first; `find` clips, filters and counts."""

    def described(self) -> dict[str, Any]:
        """The settings for records and hashes: plain values, files by their content, the same on every machine."""
        return self.settings.model_dump(exclude={"method"})

    def file_for(self, id: str) -> Path | None:
        """The file, besides the picture, that the boxes of picture ``id`` depend on."""
        return None


def corners(rectangles: Any) -> np.ndarray:
    """OpenCV's x, y, width, height (an empty tuple where it found none) as int64 corners."""
    boxes = np.array(rectangles, np.int64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
