"""Combine score stores into a new one, picture by picture, in several processes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.fusion import combine
from segrepro.fusion.members import LABEL_MAPS, PROBABILITIES, RAW_SCORES, Ensemble
from segrepro.labels import label_space
from segrepro.provenance.stores import written_by
from segrepro.stores.fitting import STORAGE_RESIZE, fit, log_probabilities
from segrepro.stores.score_maps import FLOAT16
from segrepro.stores.scores import LABELS, LOG_PROBABILITIES, LOGITS, ScoreWriter

VOTE, MEAN, PRODUCT, RELEASE_PRODUCT = KINDS = ("vote", "mean", "product", "release_product")
BY_PROBABILITY, BY_MEMBER, BY_MIOU, LOWEST = TIES = ("probability", "member", "miou", "lowest")
LEAST_MEMBERS = {VOTE: 3, MEAN: 2, PRODUCT: 2, RELEASE_PRODUCT: 2}
DEFAULT_STRIDE = 4

# Results that wait to be written while others are computed: 128 MB, some 250 VOC pictures at stride 4.
RESULT_BYTES = 1 << 27


@dataclass(frozen=True)
class Rule:
    """How members are combined.

    Attributes:
        kind: ``vote``: the majority of labels; ``mean``, ``product``: of probabilities; ``release_product``: of raw
            scores, as EDeconvNet's release (`segrepro.fusion.combine.release_product`).
        weights: of the members, above 0; None for 1 each. Votes count by them, the mean by their proportions; in
            the product they are exponents.
        ties: which of the labels with equally many votes wins. ``probability``: the one with the largest summed
            probability; ``member``: that of the earliest member; ``miou``: that of the member with the largest
            of ``mious`` (of equals, the earlier); ``lowest``: the lowest, report 2's rule. Equal sums: the lowest.
        mious: of the members, measured on pictures that the vote is not scored on; for ``ties: miou``.
        stride: pixels between stored scores; a vote is always stored at full size.

    Raises:
        UserError: an unknown name, an impossible number, or an option that the kind does not have.
    """

    kind: str
    weights: tuple[float, ...] | None = None
    ties: str | None = None
    mious: tuple[float, ...] | None = None
    stride: int = DEFAULT_STRIDE

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"--kind '{self.kind}' is unknown: use one of {', '.join(KINDS)}.")
        if self.ties is None and self.kind == VOTE:
            object.__setattr__(self, "ties", BY_PROBABILITY)
        if self.ties is not None and self.kind != VOTE:
            raise UserError(f"--ties has no meaning for --kind {self.kind}; leave it out.")
        if self.ties not in (None, *TIES):
            raise UserError(f"--ties '{self.ties}' is unknown: use one of {', '.join(TIES)}.")
        if (self.mious is None) == (self.ties == BY_MIOU):
            raise UserError("--metrics and --ties miou belong together; give both, or neither.")
        if self.weights is not None and self.kind == RELEASE_PRODUCT:
            raise UserError("--weights has no meaning for --kind release_product; leave it out.")
        if any(not (math.isfinite(weight) and weight > 0) for weight in self.weights or ()):
            raise UserError(f"--weights {_listed(self.weights)}: give numbers above 0.")
        if any(not (isinstance(miou, (int, float)) and math.isfinite(miou)) for miou in self.mious or ()):
            raise UserError(f"--metrics: the mIoUs are {_listed(self.mious)}; evaluate the members again.")
        if self.stride < 1:
            raise UserError(f"--storage-stride {self.stride}: give a positive number of pixels.")

    @property
    def needed(self) -> str:
        """What is read of the members."""
        if self.kind == RELEASE_PRODUCT:
            return RAW_SCORES
        return PROBABILITIES if self.kind != VOTE or self.ties == BY_PROBABILITY else LABEL_MAPS

    def check_members(self, count: int) -> None:
        """Check the number of members against the kind and its options.

        Raises:
            UserError: too few or too many, or another number of weights or mIoUs.
        """
        least, exact = LEAST_MEMBERS[self.kind], self.kind == RELEASE_PRODUCT
        if count < least or (exact and count != least):
            raise UserError(f"--members: {count} given, --kind {self.kind} needs {least}{'' if exact else ' or more'}.")
        for option, given in (("weights", self.weights), ("metrics", self.mious)):
            if given is not None and len(given) != count:
                raise UserError(f"--{option}: {len(given)} given for {count} members; give one a member, in order.")


def _listed(numbers: Sequence[float]) -> str:
    return " ".join(map(str, numbers))


@dataclass(frozen=True)
class PictureFuser:
    """Combines the members' answers for one picture; can be sent to another process."""

    ensemble: Ensemble
    rule: Rule

    def __call__(self, id: str) -> np.ndarray:
        """Return what is stored of a picture: uint8 (height, width) of a vote, else float16 (h, w, classes).

        Raises:
            UserError: a member's store is damaged or holds NaN.
        """
        if self.rule.kind == VOTE:
            return self._vote(id)
        if self.rule.kind == RELEASE_PRODUCT:
            scores = combine.release_product(*self.ensemble.raw_scores(id))
        else:
            of = combine.mean if self.rule.kind == MEAN else combine.product
            scores = log_probabilities(of(self.ensemble.probabilities(id), self._weights))
        return np.clip(fit(scores, self.rule.stride), FLOAT16.min, FLOAT16.max).astype(np.float16)

    def _vote(self, id: str) -> np.ndarray:
        labels = self.ensemble.labels(id)
        preference = None
        if self.rule.ties in (BY_MEMBER, BY_MIOU):
            preference = self._ranks()[:, np.newaxis, np.newaxis]
        elif self.rule.ties == BY_PROBABILITY and self._has_ties(labels):
            preference = combine.summed_probability(labels, self.ensemble.probabilities(id), self._weights)
        return combine.vote(labels, self._weights, preference)

    def _has_ties(self, labels: np.ndarray) -> bool:
        return bool(combine.is_tied(labels, combine.leaders(labels, self._weights)).any())

    def _ranks(self) -> np.ndarray:
        """Return a number a member, the best having the highest: by mIoU, of equals the earlier."""
        mious = np.array(self.rule.mious or [0.0] * len(self.ensemble.paths))
        ranks = np.empty(len(mious))
        ranks[np.argsort(-mious, kind="stable")] = -np.arange(len(mious))
        return ranks

    @property
    def _weights(self) -> tuple[float, ...]:
        return self.rule.weights or (1.0,) * len(self.ensemble.paths)


def fuse(ensemble: Ensemble, rule: Rule, out: Path, *, system: str, threads: int) -> None:
    """Fill a score store with an ensemble's answers, in the ensemble's label space.

    Mean and product are stored as log-probabilities, the release's product as its scores. The file does not depend
    on the number of processes.

    Args:
        ensemble: the members.
        rule: how they are combined.
        out: the store to write.
        system: name of the fused system, recorded in the store.
        threads: number of processes, 1 or more.

    Raises:
        UserError: members or rule do not fit, or a member's store cannot be used.
    """
    rule.check_members(len(ensemble.paths))
    sizes = ensemble.check(rule.needed)
    kind = {VOTE: LABELS, RELEASE_PRODUCT: LOGITS}.get(rule.kind, LOG_PROBABILITIES)
    fuser = PictureFuser(ensemble, rule)
    header = {"system": system, "label_space": ensemble.space, "kind": kind, "resize": STORAGE_RESIZE}
    with ScoreWriter(out, **header, code=written_by(__name__, ensemble.code())) as store:
        for ids in _batches(sizes, rule, ensemble.space, threads):
            label = system if len(ids) == len(sizes) else f"{system}, {ids[0]} to {ids[-1]}"
            results = map_in_processes(fuser, ids, threads=threads, label=label, total=len(ids))
            for id, result in zip(ids, results, strict=True):
                store.add(id, result, size=sizes[id])


def _batches(sizes: dict[str, tuple[int, int]], rule: Rule, space: str, threads: int) -> Iterator[list[str]]:
    """Yield ids, in order, so many at once that their results fit into `RESULT_BYTES`."""
    pixels = max(height * width for height, width in sizes.values())
    bytes_a_pixel = 1 if rule.kind == VOTE else FLOAT16.bits // 8 * len(label_space(space)) / rule.stride**2
    count = max(threads, int(RESULT_BYTES / (pixels * bytes_a_pixel)))
    ids = list(sizes)
    for start in range(0, len(ids), count):
        yield ids[start : start + count]
