"""Shards: the share of a job that one of several machines does."""

from collections.abc import Sequence
from typing import TypeVar

from segrepro.errors import UserError

Item = TypeVar("Item")


def shard_numbers(which: str, available: int, what: str = "pictures") -> tuple[int, int]:
    """Return k and n of ``k/n``.

    Args:
        which: as the command line has it, e.g. ``2/8``.
        available: number of items that are shared out.
        what: the items, as messages call them.

    Raises:
        UserError: ``which`` is not of the form k/n with 1 <= k <= n, or there are fewer items than shards.
    """
    number, _, count = which.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard '{which}': write k/n with k from 1 to n, as 2/8.")
    if int(count) > available:
        raise UserError(f"--shard {which}: there are {available} {what} only; use at most so many shards.")
    return int(number), int(count)


def every_nth(items: Sequence[Item], which: str, what: str = "pictures") -> Sequence[Item]:
    """Return the share of the items that one job does: of ``2/8``, the 2nd, the 10th and so on.

    Raises:
        UserError: as `shard_numbers`.
    """
    number, count = shard_numbers(which, len(items), what)
    return items[number - 1 :: count]


def block(items: Sequence[Item], which: str, what: str = "pictures") -> Sequence[Item]:
    """Return the share of the items that one job does, in one piece: of ``2/8``, the second eighth.

    Raises:
        UserError: as `shard_numbers`.
    """
    number, count = shard_numbers(which, len(items), what)
    return items[len(items) * (number - 1) // count : len(items) * number // count]
