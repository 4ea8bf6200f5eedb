"""Scoring the pictures of a split: a store's predictions against the masks of a manifest, in parallel."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusion
from segrepro.stores.manifests import Example
from segrepro.stores.scores import ScoreReader


@dataclass(frozen=True)
class PictureScorer:
    """Scores a picture of one store against its mask; can be sent to another process."""

    store: Path  # opened again for each picture (2 ms of some 10)
    space: str  # label space of the masks, which the predictions are mapped to
    num_classes: int

    def __call__(self, example: Example) -> np.ndarray:
        """Read the mask of one picture and return its confusion; raise as `scored`, or where it cannot be read."""
        return self.scored(example, read_mask(example.mask))[1]

    def scored(self, example: Example, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prediction of a picture whose mask was read, uint8 (height, width), and its confusion, int32.

        Raises:
            UserError: the sizes differ, or a label is out of range.
        """
        with ScoreReader(self.store) as reader:
            prediction = reader.labels(example.id, self.space)
            try:
                return prediction, confusion(truth, prediction, self.num_classes).astype(np.int32)
            except ValueError as error:
                raise UserError(
                    f"{example.mask}: {error}, for system '{reader.system}' ({self.store}); check that manifest, "
                    f"masks and score store belong together and that the masks' label space is '{self.space}'."
                ) from error


def picture_confusions(scorer: PictureScorer, examples: list[Example], *, threads: int, label: str) -> np.ndarray:
    """Score the pictures of a manifest that passed `check_same_pictures`, by any number of processes alike.

    Returns:
        int32 array of shape (pictures, num_classes, num_classes), in the order of ``examples``.
    """
    return np.stack(map_in_processes(scorer, examples, threads=threads, label=label, total=len(examples)))
