"""Correction for many comparisons at once."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values of a family of tests, adjusted by Holm's step-down method.

    Calling a difference real where its adjusted value is below 0.05 makes even one false call in the whole family
    less probable than 0.05, however the tests hang together (Holm, "A simple sequentially rejective multiple test
    procedure", Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: in any order; None for a comparison that has none, which does not count as a test.

    Returns:
        In the same order, each at least as large as it was and at most 1.
    """
    tested = [index for index, p in enumerate(p_values) if p is not None]
    order = sorted(tested, key=lambda index: p_values[index])
    factors = np.arange(len(order), 0, -1)
    steps = np.maximum.accumulate([p_values[index] for index in order] * factors) if order else []
    adjusted: list[float | None] = [None] * len(p_values)
    for index, value in zip(order, steps, strict=True):
        adjusted[index] = min(float(value), 1.0)
    return adjusted
