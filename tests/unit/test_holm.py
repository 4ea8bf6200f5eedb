"""Holm's correction: a worked example, an independent definition, and what must hold of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segrepro.evaluation.statistics import holm

families = st.lists(st.none() | st.floats(0, 1), max_size=12)


def test_a_family_of_four():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def rejected_step_by_step(p_values: list[float], level: float) -> set[int]:
    """Holm's procedure as his paper words it: test the smallest first, stop at the first that is not rejected."""
    rejected: set[int] = set()
    for index in np.argsort(p_values, kind="stable"):
        if p_values[index] * (len(p_values) - len(rejected)) >= level:
            break
        rejected.add(int(index))
    return rejected


@given(families, st.floats(0.001, 0.5))
def test_what_is_significant_is_what_the_procedure_rejects(p_values, level):
    adjusted = holm(p_values)
    tested = [index for index, p in enumerate(p_values) if p is not None]
    expected = {tested[i] for i in rejected_step_by_step([p_values[i] for i in tested], level)}
    assert {index for index in tested if adjusted[index] < level} == expected
    assert [p is None for p in adjusted] == [p is None for p in p_values]
    assert all(one >= other for one, other in zip(adjusted, p_values, strict=True) if one is not None)


def test_false_calls_of_a_whole_family_stay_below_the_level():
    """Thirty systems that are equal: at 0.05 each, most families would have a false call; by Holm 5 % of them."""
    p_values = np.random.default_rng(0).random((500, 100))
    calls = [min(holm(list(family))) < 0.05 for family in p_values]
    assert np.mean(calls) < 0.09
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.9
