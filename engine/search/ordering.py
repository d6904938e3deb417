"""Which of the evaluated configurations come first, wherever they are listed.

By cost; of equals the one with fewer adapter parameters, then the one evaluated first; what is no
finite number comes last. Start with `order_best_first`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, Protocol, TypeVar


class Evaluated(Protocol):
    """What is known of an evaluated configuration; events and records of the store have it."""

    @property
    def value(self) -> float:
        """The score."""

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """Which way is better."""

    @property
    def adapter_parameters(self) -> int:
        """Parameters of the adapters."""


Found = TypeVar("Found", bound=Evaluated)


def find_cost(each: Evaluated) -> float:
    """Return what is to be low; infinite where the score is no finite number."""
    if not math.isfinite(each.value):
        return math.inf
    return each.value if each.direction == "lower" else -each.value


def order_best_first(found: Iterable[Found]) -> list[Found]:
    """Return configurations from the best to the worst.

    Args:
        found: In the order of evaluation, which decides between equals.
    """
    return sorted(found, key=lambda each: (find_cost(each), each.adapter_parameters))
