"""A part of a data set's pictures, for what need not see them all."""

from segrepro.data.manifests import Example
from segrepro.errors import UserError


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
