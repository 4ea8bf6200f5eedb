"""What systems that are made of systems ask of their members: what these store, and whose labels they have seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from segrepro.config.sentences import unknown, without_masks
from segrepro.data.datasets import DATASETS
from segrepro.graph import SYSTEM, graph_of

if TYPE_CHECKING:
    from segrepro.config import Config, System


def combination_problems(config: Config) -> Iterator[str]:
    """Yield one sentence for each fusion, stacker or CRF that cannot be made, or not without a leak."""
    for name, system in config.systems.items():
        path = f"systems.{name}.{system.combination}"
        read = [*system.splits, *([system.fusion.ties_from] if system.fusion and system.fusion.ties_from else [])]
        for member in system.members:
            yield from unknown(f"{path}.members", [member], config.systems, "system")
            if member in config.systems:
                for split in read:
                    if split not in config.systems[member].splits:
                        yield (
                            f"{path}.members: '{member}' is not scored on '{split}'; add it to systems.{member}.splits"
                        )
                yield from _storage_problems(config, f"{path}.members", system, member)
        if _by_folds(config, name):
            yield from _fold_problems(config, f"{path}.members", name)
        if system.held:
            yield from _unscored_problems(f"{path}.{system.held_key}", system.held.dataset, system)


def _parts(config: Config, name: str) -> list[str]:
    """Return a system and all that it is made of, however deep, nearest first."""
    return [part for part in graph_of(config).of_kind(SYSTEM, name) if part in config.systems]


def _storage_problems(config: Config, path: str, system: System, member: str) -> Iterator[str]:
    """A member must store what its combination reads: labels, probabilities or raw scores."""
    fusion, other = system.fusion, config.systems[member]
    if fusion and fusion.kind == "release_product":
        why, remedy = _without_raw_scores(config, member, system.splits)
        if why:
            yield f"{path}: '{member}' has no raw scores for 'release_product': {why}; {remedy}"
    elif not other.stores_labels:
        return
    elif system.stacking or (fusion and fusion.kind != "vote"):
        yield f"{path}: '{member}' {_labels_alone(other)}; {_instead(member, other)}"
    elif fusion and fusion.broken_by == "probability":
        yield (
            f"{path}: '{member}' {_labels_alone(other)} to break ties by; set 'ties: member', "
            f"'lowest' or 'miou', or {_instead(member, other)}"
        )


def _labels_alone(system: System) -> str:
    return "stores labels and has no probabilities" if system.crf else "is a vote and has no probabilities"


def _instead(name: str, system: System) -> str:
    return f"remove systems.{name}.crf.store" if system.crf else "take its members"


def _without_raw_scores(config: Config, name: str, splits: list[str]) -> tuple[str, str]:
    """Say why a system stores no raw scores of the splits' classes, and what to do; twice "" where it does."""
    system, of_model = config.systems[name], "use 'kind: product'"
    if system.model is None:
        return f"it is a combination of systems ('{system.combination}')", f"take a model's system, or {of_model}"
    if system.proposal_wise and system.proposal_wise.of == "probabilities":
        return "it aggregates probabilities", f"set systems.{name}.proposal_wise.of to scores"
    if not system.prediction.has_logits:
        return (
            "it averages probabilities over scales, mirroring or windows",
            f"take a system of model '{system.model}' with one scale, without 'flip' and 'window', or {of_model}",
        )
    model = config.models.get(system.model)
    trained = DATASETS.get(model.dataset) if model else None
    answered = {DATASETS[split].answer_space for split in splits if split in DATASETS}
    if trained and trained.label_space and answered - {trained.label_space}:
        return f"its model's are in label space '{trained.label_space}' and cannot be mapped", of_model
    return "", ""


def _by_folds(config: Config, name: str) -> bool:
    stacking = config.systems[name].stacking
    return stacking is not None and stacking.fit_on is None


def _fold_problems(config: Config, path: str, name: str) -> Iterator[str]:
    """A stacker by folds learns from its members' answers on the other folds; none may stem from this fold's labels."""
    for part in _parts(config, name)[1:]:
        if _by_folds(config, part):
            yield (
                f"{path}: '{part}' is fitted by folds of the same pictures, so that its answers for one fold come from "
                f"the labels of the others; take its members, or give systems.{part}.stacking.fit_on"
            )


def _unscored_problems(path: str, dataset: str, system: System) -> Iterator[str]:
    """What a system is fitted or tuned on must have masks of the same classes, and must not be scored."""
    if problems := [*without_masks(path, [dataset])]:
        yield from problems
    elif dataset in system.splits:
        yield f"{path}: '{dataset}' is scored too; take other pictures, e.g. voc_train"
    else:
        space = {DATASETS[split].label_space for split in system.splits if split in DATASETS}
        if space - {DATASETS[dataset].label_space}:
            yield f"{path}: '{dataset}' has other labels than {', '.join(system.splits)}; take one of the same classes"


def submission_problems(config: Config) -> Iterator[str]:
    """A system fitted by folds of the scored pictures needs their labels, which the test pictures have not."""
    path = "submission.systems"
    for name in config.submission.systems:
        yield from unknown(path, [name], config.systems, "system")
        for part in _parts(config, name) if name in config.systems else []:
            if _by_folds(config, part):
                yield (
                    f"{path}: '{name}' needs '{part}', a stacker fitted by folds of what it predicts, and VOC test has "
                    f"no labels; give systems.{part}.stacking.fit_on"
                )
