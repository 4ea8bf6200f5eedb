"""Combine score stores into a new one, picture by picture, in several processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.config.systems import Fusion
from segrepro.data.parallel import map_in_processes
from segrepro.fusion import combine
from segrepro.fusion.members import LABEL_MAPS, PROBABILITIES, RAW_SCORES, Ensemble
from segrepro.labels import label_space
from segrepro.provenance.code import written_by
from segrepro.stores.fitting import STORAGE_RESIZE, fit, log_probabilities
from segrepro.stores.scores import FLOAT16, LABELS, LOG_PROBABILITIES, LOGITS, ScoreWriter

# Results that wait to be written while others are computed: 128 MB, some 250 VOC pictures at stride 4.
RESULT_BYTES = 1 << 27


@dataclass(frozen=True)
class PictureFuser:
    """Combines the members' answers for one picture; can be sent to another process."""

    ensemble: Ensemble
    rule: Fusion
    mious: Sequence[float]

    def __call__(self, id: str) -> np.ndarray:
        """Return what is stored of a picture: uint8 (height, width) of a vote, else float16 (h, w, classes)."""
        if self.rule.kind == "vote":
            return self._vote(id)
        if self.rule.kind == "release_product":
            scores = combine.release_product(*self.ensemble.raw_scores(id))
        else:
            combined = getattr(combine, self.rule.kind)(self.ensemble.probabilities(id), self._weights)
            scores = log_probabilities(combined)
        return np.clip(fit(scores, self.rule.storage_stride), FLOAT16.min, FLOAT16.max).astype(np.float16)

    def _vote(self, id: str) -> np.ndarray:
        labels = self.ensemble.labels(id)
        preference = None
        if self.rule.broken_by in ("member", "miou"):
            preference = self._ranks()[:, np.newaxis, np.newaxis]
        elif self.rule.broken_by == "probability" and combine.is_tied(labels, self._weights).any():
            preference = combine.summed_probability(labels, self.ensemble.probabilities(id), self._weights)
        return combine.vote(labels, self._weights, preference)

    def _ranks(self) -> np.ndarray:
        """Return a number per member, the best having the highest: by mIoU, of equals the earlier."""
        mious = np.array(self.mious or [0.0] * len(self.ensemble.paths))
        ranks = np.empty(len(mious))
        ranks[np.argsort(-mious, kind="stable")] = -np.arange(len(mious))
        return ranks

    @property
    def _weights(self) -> Sequence[float]:
        return self.rule.weights or (1.0,) * len(self.ensemble.paths)


def fuse(
    ensemble: Ensemble, rule: Fusion, out: Path, *, system: str, threads: int, mious: Sequence[float] = ()
) -> None:
    """Fill a score store with an ensemble's answers, in the ensemble's label space; a `UserError` as of `Ensemble`.

    Mean and product are stored as log-probabilities, the release's product as its scores. The file does not depend
    on the number of processes (``threads``). For ``ties: miou``, the members' mIoUs are of pictures that the vote is
    not scored on.
    """
    needed, kind = PROBABILITIES, LOG_PROBABILITIES
    if rule.kind == "vote":
        needed, kind = PROBABILITIES if rule.broken_by == "probability" else LABEL_MAPS, LABELS
    elif rule.kind == "release_product":
        needed, kind = RAW_SCORES, LOGITS
    sizes = ensemble.check(needed)
    fuser = PictureFuser(ensemble, rule, mious)
    header = {"system": system, "label_space": ensemble.space, "kind": kind, "resize": STORAGE_RESIZE}
    with ScoreWriter(out, **header, code=written_by(__name__, ensemble.code())) as store:
        for ids in _batches(sizes, rule, ensemble.space, threads):
            label = system if len(ids) == len(sizes) else f"{system}, {ids[0]} to {ids[-1]}"
            results = map_in_processes(fuser, ids, threads=threads, label=label, total=len(ids))
            for id, result in zip(ids, results, strict=True):
                store.add(id, result, size=sizes[id])


def _batches(sizes: dict[str, tuple[int, int]], rule: Fusion, space: str, threads: int) -> Iterator[list[str]]:
    """Yield ids, in order, so many at once that their results fit into `RESULT_BYTES`."""
    pixels = max(height * width for height, width in sizes.values())
    bytes_per_pixel = 1 if rule.kind == "vote" else FLOAT16.bits // 8 * len(label_space(space)) / rule.storage_stride**2
    count = max(threads, int(RESULT_BYTES / (pixels * bytes_per_pixel)))
    ids = list(sizes)
    for start in range(0, len(ids), count):
        yield ids[start : start + count]
