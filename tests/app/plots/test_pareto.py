"""Promises of the Pareto front."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.plots.pareto import find_front

SMALL = st.integers(min_value=0, max_value=6).map(float)
POINTS = st.lists(st.tuples(SMALL, SMALL | st.just(math.nan)), max_size=12)


def is_beaten(mine: tuple[float, float], other: tuple[float, float], sign: int) -> bool:
    """Whether the other point is at least as good in both ways and better in one."""
    cheaper, better = other[0] - mine[0], sign * (other[1] - mine[1])
    return cheaper <= 0 and better <= 0 and (cheaper < 0 or better < 0)


@pytest.mark.parametrize("direction", ["lower", "higher"])
@given(points=POINTS)
def test_front_is_what_comparing_every_pair_gives(
    points: list[tuple[float, float]], direction: Literal["lower", "higher"]
) -> None:
    """The front holds exactly the points that no other point beats, by rising cost."""
    sign = 1 if direction == "lower" else -1
    known = [place for place, point in enumerate(points) if not math.isnan(point[1])]
    slow = {
        place
        for place in known
        if not any(is_beaten(points[place], points[other], sign) for other in known)
    }
    costs, scores = [point[0] for point in points], [point[1] for point in points]
    front = find_front(costs, scores, direction=direction)
    assert set(front) == slow
    assert len(front) == len(slow)
    assert [costs[place] for place in front] == sorted(costs[place] for place in front)


def test_lengths_must_agree() -> None:
    """A cost without a score is a mistake of the caller."""
    with pytest.raises(ValueError, match="shorter"):
        find_front([1.0], [], direction="lower")
