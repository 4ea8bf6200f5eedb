"""Folds: pictures dealt into groups, so that each is predicted by a stacker that was fitted on the others."""

import hashlib
from collections.abc import Iterable

from segrepro.errors import UserError


def assign_folds(ids: Iterable[str], folds: int, seed: int) -> list[list[str]]:
    """Deal pictures into folds by the sha256 of ``<seed>/<id>``.

    The order of the digests is a shuffle that any program can repeat; pictures are dealt in that order, one a fold in
    turn, so that the folds' sizes differ by one at most.

    Args:
        ids: of the pictures, in any order.
        folds: their number, 2 or more.
        seed: another seed gives other folds.

    Returns:
        The ids of each fold, sorted; every picture is in exactly one, and no fold is empty.

    Raises:
        UserError: less than two folds, or fewer pictures than folds.
    """
    shuffled = sorted(set(ids), key=lambda id: (hashlib.sha256(f"{seed}/{id}".encode()).digest(), id))
    if folds < 2:
        raise UserError(f"--folds {folds}: a stacker that never saw a picture needs 2 folds or more.")
    if len(shuffled) < folds:
        raise UserError(
            f"--folds {folds}: there are only {len(shuffled)} pictures; use fewer folds, or fit on other pictures by "
            "--fit-manifest and --fit-members."
        )
    return [sorted(shuffled[fold::folds]) for fold in range(folds)]
