"""Which configurations no other beats on cost and size at once. Start with `find_front`."""

from __future__ import annotations

import math
from collections.abc import Sequence


def find_front(costs: Sequence[float], sizes: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of the points that no other dominates, the smallest first.

    A point dominates another when it is nowhere higher and somewhere lower. Equal points stand
    together; what is no finite number is on no front. Takes n log n steps.

    Args:
        costs: (N,) what is to be low.
        sizes: (N,) what is to be low as well.
    """
    points = [
        (size, cost, index)
        for index, (cost, size) in enumerate(zip(costs, sizes, strict=True))
        if math.isfinite(cost) and math.isfinite(size)
    ]
    front: list[int] = []
    last = (math.inf, math.inf)
    for size, cost, index in sorted(points):
        if cost < last[1] or (size, cost) == last:
            last = (size, cost)
            front.append(index)
    return tuple(front)
