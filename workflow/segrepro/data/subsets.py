"""Some of a dataset's pictures: so many, the share of one of several machines, or none of those that are scored."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from segrepro.errors import UserError
from segrepro.stores.manifests import Example, read_manifest

Item = TypeVar("Item")


def spread(examples: list[Example], count: int | None) -> list[Example]:
    """Return so many pictures at equal steps of the sorted list; all where there are fewer, or ``count`` is None."""
    if count is None or count >= len(examples):
        return examples
    ranked = sorted(examples)
    return [ranked[number * len(ranked) // count] for number in range(count)]


def every_nth(items: Sequence[Item], which: str, what: str = "pictures") -> Sequence[Item]:
    """Return the share of the items that one job does: of ``2/8``, the 2nd, the 10th and so on.

    Raises:
        UserError: ``which`` is not of the form k/n with 1 <= k <= n, or there are fewer items than shards.
    """
    number, count = _shard(which, len(items), what)
    return items[number - 1 :: count]


def block(items: Sequence[Item], which: str) -> Sequence[Item]:
    """Return the share in one piece: of ``2/8``, the second eighth. Raises as `every_nth` does."""
    number, count = _shard(which, len(items), "pictures")
    return items[len(items) * (number - 1) // count : len(items) * number // count]


def _shard(which: str, available: int, what: str) -> tuple[int, int]:
    number, _, count = which.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard '{which}': write k/n with k from 1 to n, as 2/8.")
    if int(count) > available:
        raise UserError(f"--shard {which}: there are {available} {what} only; use at most so many shards.")
    return int(number), int(count)


def refuse_overlap(manifest: Path, examples: list[Example], forbidden: Sequence[Path]) -> None:
    """Refuse pictures that are scored later: parameters chosen on them would flatter the result."""
    ids = {example.id for example in examples}
    for other in forbidden:
        if shared := ids & {example.id for example in read_manifest(other)}:
            raise UserError(
                f"{manifest}: {len(shared)} pictures are in {other} too, the first is '{min(shared)}'; tune and fit "
                "on pictures that are not scored."
            )
