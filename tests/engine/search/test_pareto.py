"""The front holds what no other point beats, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.search.pareto import find_front

POINT = st.tuples(st.integers(0, 6), st.integers(0, 6))


def dominates(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


@given(st.lists(POINT, max_size=30))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    """The same indices as comparing every pair, in the order of size."""
    front = find_front([cost for cost, _ in points], [size for _, size in points])
    slow = {i for i, one in enumerate(points) if not any(dominates(two, one) for two in points)}
    assert set(front) == slow
    assert [points[i][1] for i in front] == sorted(points[i][1] for i in front)


def test_what_is_no_number_is_on_no_front() -> None:
    """A point whose cost or size could not be told is left out, good as the other may be."""
    assert find_front([math.nan, 1.0, math.inf, -math.inf], [1, 2, 0, 0]) == (1,)
    assert find_front([0.5, 1.0, 0.0], [math.inf, 2, math.nan]) == (1,)
    assert find_front([], []) == ()


def test_lengths_must_agree() -> None:
    """A cost without a size is a mistake of the caller."""
    with pytest.raises(ValueError, match="shorter"):
        find_front([1.0], [])
