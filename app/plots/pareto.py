"""Which points no other point beats. Start with `find_front`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal


def find_front(
    costs: Sequence[float], scores: Sequence[float], *, direction: Literal["lower", "higher"]
) -> tuple[int, ...]:
    """Return the positions of the points on the Pareto front, by rising cost.

    A point is on the front when no other has at most its cost and at least its quality, one of them
    strictly better; of equal points all are. Not-a-number is never on it. Takes n log n steps.

    Args:
        costs: Lower is better (bits, bytes).
        scores: As many; better in the direction given.
        direction: Which way scores are better.
    """
    sign = 1 if direction == "lower" else -1
    known = [
        (cost, sign * score, position)
        for position, (cost, score) in enumerate(zip(costs, scores, strict=True))
        if not (math.isnan(cost) or math.isnan(score))
    ]
    front: list[int] = []
    best: tuple[float, float] | None = None
    for cost, score, position in sorted(known):
        if best is None or score < best[1]:
            best = (cost, score)
            front.append(position)
        elif (cost, score) == best:
            front.append(position)
    return tuple(front)
