"""The members of an ensemble: score stores of the same pictures, read in one label space."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segrepro.errors import UserError
from segrepro.stores.codes import Written, joined
from segrepro.stores.resize import resize_scores
from segrepro.stores.same_pictures import refuse_other_pictures
from segrepro.stores.scores import LABELS, LOGITS, ScoreReader

# What is read of the members.
LABEL_MAPS, PROBABILITIES, RAW_SCORES = "labels", "probabilities", "raw scores"


@dataclass(frozen=True)
class Ensemble:
    """Score stores to be combined picture by picture; small, and can be sent to another process.

    Stores are opened again for each picture (2 ms per member of some 50): nothing open is shared by processes. What
    reads pictures raises a `UserError` where scores are not finite or a store is damaged.
    """

    paths: tuple[Path, ...]  # the members' score stores, in order
    names: tuple[str, ...]  # what messages call them
    space: str  # name of the label space that all are mapped to: labels after the argmax, probabilities by sums

    def __post_init__(self) -> None:
        if len(self.names) != len(self.paths):
            raise UserError(
                f"--names: {len(self.names)} names for {len(self.paths)} members; give one name per member, in order."
            )

    def check(self, needed: str) -> dict[str, tuple[int, int]]:
        """Check headers, pictures and sizes before any picture is combined.

        What is ``needed`` of the members is one of `LABEL_MAPS`, `PROBABILITIES` and `RAW_SCORES`. The result is the
        (height, width) in pixels of each picture, by id, in order of the ids.

        Raises:
            UserError: a store is damaged, has other pictures or sizes than the first, holds a vote's labels where more
                is needed or no logits where raw scores are, or is in a label space that cannot be mapped.
        """
        sizes: dict[str, tuple[int, int]] = {}
        for number, reader in enumerate(self.readers()):
            self._check_header(number, reader, needed)
            if number:
                self._check_pictures(number, reader, sizes)
            else:
                sizes = {id: reader.size(id) for id in reader.ids}
        return sizes

    def readers(self) -> Iterator[ScoreReader]:
        """Yield the reader of each member's store, open until the next."""
        for path in self.paths:
            with ScoreReader(path) as reader:
                yield reader

    def code(self) -> Written:
        """Return which code filled the members' stores."""
        return joined(*(reader.code for reader in self.readers()))

    def systems(self) -> list[str]:
        """Return the name of the system that each member's store records."""
        return [reader.system for reader in self.readers()]

    def labels(self, id: str) -> np.ndarray:
        """Return each member's labels of a picture: uint8 (members, height, width)."""
        return np.stack([reader.labels(id, self.space) for reader in self.readers()])

    def probabilities(self, id: str) -> Iterator[np.ndarray]:
        """Yield each member's probabilities of a picture, float32 (height, width, classes)."""
        return (reader.probabilities(id, self.space) for reader in self.readers())

    def raw_scores(self, id: str) -> Iterator[np.ndarray]:
        """Yield each member's stored scores of a picture at full size, float32 (height, width, classes)."""
        return (resize_scores(reader.stored(id), reader.size(id), reader.resize) for reader in self.readers())

    def _check_header(self, number: int, reader: ScoreReader, needed: str) -> None:
        table = reader.mapping(self.space)
        if needed != LABEL_MAPS and reader.kind == LABELS:
            raise UserError(
                f"{self._called(number)} stores labels (a vote), and has no {needed}; replace it by systems that "
                "store scores, or combine by a vote with --ties member, miou or lowest."
            )
        if needed == RAW_SCORES and reader.kind != LOGITS:
            # Of log-probabilities, all below 0, a product of max(0, score) leaves nothing but background.
            raise UserError(
                f"{self._called(number)} has scores of kind '{reader.kind}', not 'logits'; predict it again, with --of "
                "scores or at one scale without --flip and --window, or use --kind product."
            )
        if needed == RAW_SCORES and table is not None:
            raise UserError(
                f"{self._called(number)} has raw scores in label space '{reader.space.name}', which cannot be mapped "
                f"to '{self.space}' (only labels and probabilities can); use --kind product."
            )

    def _check_pictures(self, number: int, reader: ScoreReader, sizes: dict[str, tuple[int, int]]) -> None:
        places = {"found_in": self._called(number), "wanted_in": self._called(0)}
        refuse_other_pictures(reader.ids, sizes, **places, remedy="predict both from the same manifest")
        for id, (height, width) in sizes.items():
            if (size := reader.size(id)) != (height, width):
                raise UserError(
                    f"picture '{id}' is {width} x {height} pixels in {self._called(0)} but {size[1]} x {size[0]} in "
                    f"{self._called(number)}; predict both from the same pictures."
                )

    def _called(self, number: int) -> str:
        return f"'{self.names[number]}' ({self.paths[number]})"


def ensemble_of(paths: list[Path], *, names: list[str] | None = None, space: str) -> Ensemble:
    """Return an ensemble; without names, each member has the name of the system that its store records."""
    ensemble = Ensemble(tuple(map(Path, paths)), tuple(map(str, paths)), space)
    return replace(ensemble, names=tuple(ensemble.systems() if names is None else names))
