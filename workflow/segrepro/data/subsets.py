"""A part of a dataset's pictures, for what need not see them all, or must not see those of another one."""

from collections.abc import Sequence
from pathlib import Path

from segrepro.errors import UserError
from segrepro.stores.manifests import Example, read_manifest


def spread(examples: list[Example], count: int | None) -> list[Example]:
    """Return so many pictures at equal steps of the sorted list; all where there are fewer, or ``count`` is None.

    Raises:
        UserError: the count is below 1.
    """
    if count is not None and count < 1:
        raise UserError(f"--pictures {count}: give 1 or more.")
    if count is None or count >= len(examples):
        return examples
    ranked = sorted(examples)
    return [ranked[number * len(ranked) // count] for number in range(count)]


def refuse_overlap(manifest: Path, examples: list[Example], forbidden: Sequence[Path]) -> None:
    """Refuse pictures that are scored later: parameters chosen on them would flatter the result.

    Raises:
        UserError: names a picture that is in the tuning set and in a forbidden manifest.
    """
    ids = {example.id for example in examples}
    for other in forbidden:
        if shared := ids & {example.id for example in read_manifest(other)}:
            raise UserError(
                f"{manifest}: {len(shared)} pictures are in {other} too, the first is '{min(shared)}'; tune and fit "
                "on pictures that are not scored."
            )
