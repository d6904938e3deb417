"""The best comes first, and it is the same one wherever it is asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import CandidateEvaluated, Direction
from engine.search.ordering import find_cost, order_best_first
from engine.search.pareto import find_front

VALUE = st.sampled_from([0.25, 0.5, 0.75, math.nan, math.inf, -math.inf])
FOUND = st.lists(st.tuples(VALUE, st.integers(1, 3)), max_size=12)


def evaluate(value: float, size: int, *, direction: Direction = "lower") -> CandidateEvaluated:
    """Return an evaluated configuration of one group."""
    return CandidateEvaluated((8,), size, "score", value, None, 9, direction, "random", 1.0)


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_the_best_comes_first(direction: Direction) -> None:
    """By score, then size, then turn; what is no finite number last, whatever its sign."""
    values = (math.inf, 0.5, 0.25, 0.5, math.nan, 0.5, -math.inf)
    sizes = (1, 4, 9, 3, 1, 3, 2)
    found = [evaluate(v, s, direction=direction) for v, s in zip(values, sizes, strict=True)]
    order = [found.index(each) for each in order_best_first(found)]
    assert order == ([2, 3, 3, 1, 0, 4, 6] if direction == "lower" else [3, 3, 1, 2, 0, 4, 6])
    assert order_best_first(found)[2 if direction == "lower" else 1] is found[5]


@given(FOUND)
def test_the_first_is_on_the_front(points: list[tuple[float, int]]) -> None:
    """Nothing beats the best; where nothing has a number there is no front."""
    found = [evaluate(value, size) for value, size in points]
    front = find_front([find_cost(each) for each in found], [size for _, size in points])
    best = order_best_first(found)[:1]
    if best and math.isfinite(best[0].value):
        assert any(found[place] is best[0] for place in front)
    else:
        assert front == ()
