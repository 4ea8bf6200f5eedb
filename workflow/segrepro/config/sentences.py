"""Sentences on a config's references that several checks say; each starts with the key's path."""

from collections.abc import Collection, Iterable, Iterator

from segrepro.data.datasets import DATASETS


def unknown(path: str, names: Iterable[str | None], known: Collection[str], what: str) -> Iterator[str]:
    """Yield a sentence on each name (but null) that leads nowhere, with the names that there are."""
    for name in names:
        if name is not None and name not in known:
            yield f"{path}: {name!r} names no {what}; there are {', '.join(known) or 'none'}"


def without_masks(path: str, names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence on each dataset that nothing can train, fit or be scored on: it is unknown or has no masks."""
    for name in names:
        yield from unknown(path, [name], DATASETS, "dataset")
        if name in DATASETS and not DATASETS[name].has_masks:
            yield f"{path}: '{name}' has no masks; choose a dataset with ground truth"
