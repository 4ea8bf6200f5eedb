"""The learned stacker: a small network that learns from labels how to combine the members of an ensemble.

It never predicts a picture that it was fitted on: either the scored pictures are dealt into folds, and each fold is
predicted by a stacker fitted on the others; or the stacker is fitted on other pictures altogether. The report (JSON)
names, for each stacker, the pictures it was fitted on and those it predicted.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segrepro.config.systems import Stacking
from segrepro.data.parallel import progress_bar
from segrepro.errors import UserError
from segrepro.files import ids_sha256, write_json
from segrepro.fusion.members import PROBABILITIES, Ensemble
from segrepro.fusion.stacker_data import FitSet, collected, grid_of, log_probabilities_at
from segrepro.labels import VOID, label_space
from segrepro.provenance.code import written_by
from segrepro.stores.fitting import STORAGE_RESIZE
from segrepro.stores.manifests import Example, read_manifest
from segrepro.stores.same_pictures import check_same_pictures
from segrepro.stores.scores import LOGITS, ScoreReader, ScoreWriter

if TYPE_CHECKING:  # TensorFlow costs seconds: members and manifests are checked before it is imported
    from segrepro.fusion.stacker_network import StackerFitter

Sizes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Split:
    """The members' score stores of some pictures, and the manifest that lists these pictures with their masks."""

    members: Ensemble
    manifest: Path


def assign_folds(ids: Iterable[str], folds: int, seed: int) -> list[list[str]]:
    """Deal pictures into 2 or more folds by the sha256 of ``<seed>/<id>``, and return the ids of each, sorted.

    The order of the digests is a shuffle that any program can repeat; pictures are dealt in that order, one per fold
    in turn, so that the folds' sizes differ by one at most. Where one would be empty, that is a `UserError`.
    """
    shuffled = sorted(set(ids), key=lambda id: (hashlib.sha256(f"{seed}/{id}".encode()).digest(), id))
    if len(shuffled) < folds:
        raise UserError(
            f"--folds {folds}: there are only {len(shuffled)} pictures; use fewer folds, or fit on other pictures by "
            "--fit-manifest and --fit-members."
        )
    return [sorted(shuffled[fold::folds]) for fold in range(folds)]


def stack(
    scored: Split,
    settings: Stacking,
    out: Path,
    report: Path,
    *,
    system: str,
    seed: int = 0,
    fit_on: Split | None = None,
) -> None:
    """Fit stackers, predict with them, and write the score store and the report.

    Args:
        scored: the pictures to predict; with folds also those to fit on.
        settings: how; ``settings.fit_on`` is given where ``fit_on`` is.
        out: score store to write: logits at the settings' stride.
        report: JSON to write: settings; for each stacker its pictures, losses and (linear) weights.
        system: name of the stacked system, recorded in the store.
        seed: of folds, crops and initial weights.
        fit_on: other pictures of the same systems to fit one stacker on; the masks of the scored ones are not read.

    Raises:
        UserError: the members, manifests or masks do not fit each other, there are fewer pictures than folds, a
            picture to fit on is scored too, or the loss is not finite.
    """
    sizes, examples = _checked(scored, masks=fit_on is None)
    if fit_on:
        fit_sizes, examples = _checked_apart(fit_on, scored, sizes)
        plan = [([example.id for example in examples], sorted(sizes))]
    else:
        folds = assign_folds(sizes, settings.parts, seed)
        fit_sizes, plan = sizes, [(sorted(sizes.keys() - set(fold)), fold) for fold in folds]
    source, space, stride = (fit_on or scored).members, scored.members.space, settings.storage_stride
    reading = collected(source, examples, fit_sizes, stride=stride, folder=out.parent, label=f"{system}: read")
    header = {"system": system, "label_space": space, "kind": LOGITS, "resize": STORAGE_RESIZE}
    code = written_by(__name__, scored.members.code(), source.code())
    with reading as fit_set, ScoreWriter(out, **header, code=code) as store:
        run = _Run(settings, seed, scored.members, sizes, fit_set, store, is_labelled=fit_on is None)
        stackers = run.all(plan)
    write_json(
        report,
        {
            "system": system,
            "split": scored.manifest.stem,
            "fitted_on": (fit_on or scored).manifest.stem,
            "members": list(scored.members.names),
            "label_space": space,
            "pictures": len(sizes),
            "ids_sha256": ids_sha256(list(sizes)),
            "settings": settings.model_dump(exclude={"members"}) | {"folds": settings.parts, "seed": seed},
            "stackers": stackers,
        },
    )


@dataclass
class _Run:
    """One run of `stack`, after all checks: fits and predicts stacker after stacker."""

    settings: Stacking
    seed: int
    members: Ensemble
    sizes: Sizes
    fit_set: FitSet
    store: ScoreWriter
    is_labelled: bool  # whether the predicted pictures are in the fit set, with their labels

    def all(self, plan: list[tuple[list[str], list[str]]]) -> list[dict[str, Any]]:
        """Return a report for each (pictures to fit on, pictures to predict)."""
        from segrepro.fusion.stacker_network import StackerFitter

        members, classes = len(self.members.paths), len(label_space(self.members.space))
        fitter = StackerFitter(self.settings, members=members, classes=classes, seed=self.seed)
        return [self._one(fitter, number, *ids) for number, ids in enumerate(plan)]

    def _one(self, fitter: "StackerFitter", number: int, fitted: list[str], predicted: list[str]) -> dict[str, Any]:
        with progress_bar(f"{self.store.system}: fit {number + 1}", total=self.settings.steps, unit="steps") as bar:
            weights = self.fit_set.class_weights(fitted, self.settings.balance)
            losses = fitter.fit(self._batches(fitted, number, bar.update), weights)
        tenth = max(1, len(losses) // 10)
        report = {
            "fitted": fitted,
            "predicted": predicted,
            "loss_first": float(losses[:tenth].mean()),
            "loss_last": float(losses[-tenth:].mean()),
        }
        return report | self._predict(fitter, predicted, weights) | self._weights(fitter)

    def _batches(
        self, ids: list[str], number: int, advance: Callable[[], Any]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for step in range(self.settings.steps):
            random = np.random.default_rng((self.seed, number, step))
            chosen = random.choice(ids, min(self.settings.batch, len(ids)), replace=False)
            yield self.fit_set.crops(chosen, self.settings.crop, self.settings.margin, random)
            advance()

    def _predict(self, fitter: "StackerFitter", ids: list[str], class_weights: np.ndarray) -> dict[str, float]:
        """Store the stacker's answers; return its loss on them, and that of the members' product."""
        losses, total = np.zeros(2), 0.0
        for id in ids:
            scores = self._scores(id)
            logits = fitter.predict(scores)
            self.store.add(id, logits, size=self.sizes[id])
            if self.is_labelled:
                labels = self.fit_set.labels[id]
                product = scores.astype(np.float32).mean(axis=2)
                losses += [_summed_loss(logits, labels, class_weights), _summed_loss(product, labels, class_weights)]
                total += class_weights[labels[labels != VOID]].sum()
        if not total:
            return {}
        return {"loss_unseen": losses[0] / total, "loss_unseen_product": losses[1] / total}

    def _scores(self, id: str) -> np.ndarray:
        if self.is_labelled:
            return self.fit_set.at_cells(id)
        return log_probabilities_at(self.members, id, grid_of(self.sizes[id], self.settings.storage_stride))

    def _weights(self, fitter: "StackerFitter") -> dict[str, Any]:
        if self.settings.kind != "linear":
            return {}
        weights, bias = fitter.weights()
        classes = label_space(self.members.space).classes
        named = {
            member: {name: float(each) for name, each in zip(classes, row, strict=True) if name is not None}
            for member, row in zip(self.members.names, weights, strict=True)
        }
        return {"weights": named, "bias": {c: float(b) for c, b in zip(classes, bias, strict=True) if c is not None}}


def _summed_loss(logits: np.ndarray, labels: np.ndarray, class_weights: np.ndarray) -> float:
    """Return the weighted sum of the cross-entropy of the cells that are not void; logits are (h, w, classes)."""
    valid = labels != VOID
    logits, labels = logits[valid].astype(np.float64), labels[valid].astype(np.intp)
    logits -= logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(labels)), labels]
    return float((class_weights[labels] * losses).sum())


def _checked(split: Split, *, masks: bool) -> tuple[Sizes, list[Example]]:
    """Check members and manifest of a split; return the pictures' sizes and its examples."""
    sizes = split.members.check(PROBABILITIES)
    examples = read_manifest(split.manifest)
    with ScoreReader(split.members.paths[0]) as reader:
        check_same_pictures(reader, examples, split.manifest, masks=masks)
    return sizes, examples


def _checked_apart(fit_on: Split, scored: Split, scored_sizes: Sizes) -> tuple[Sizes, list[Example]]:
    """Check the split that a stacker is fitted on: it has the scored split's systems and none of its pictures."""
    if len(fit_on.members.paths) != len(scored.members.paths):
        raise UserError(
            f"--fit-members: {len(fit_on.members.paths)} given for {len(scored.members.paths)} members; give the same "
            "systems in the same order."
        )
    sizes, examples = _checked(fit_on, masks=True)
    systems = zip(fit_on.members.paths, fit_on.members.systems(), scored.members.systems(), strict=True)
    for path, fitted, wanted in systems:
        if fitted != wanted:
            raise UserError(
                f"--fit-members: {path} is of system '{fitted}' where --members has '{wanted}'; give the same systems "
                "in the same order."
            )
    if shared := sizes.keys() & scored_sizes.keys():
        raise UserError(
            f"{len(shared)} pictures of {fit_on.manifest} are scored too, the first is '{min(shared)}'; fit on "
            "pictures outside the scored split, or use --folds."
        )
    return sizes, examples
