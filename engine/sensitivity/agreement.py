"""How far two ways of scoring layers agree on their order. Numbers alone, no torch.

Start with `compare`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = Mapping[str, Mapping[int, float]]
"""What each unit loses at each width."""
LEAST_UNITS = 4
NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Agreement:
    """How far two orders of the same units agree.

    Attributes:
        bits: The width; None for all widths together.
        correlation: Spearman's rank correlation; None where it is not defined.
        low: Lower end of its 95 % interval.
        high: Upper end.
        num_units: Units that both have scored.
        reason: Why there is no correlation; empty where there is one.
    """

    bits: int | None
    correlation: float | None
    low: float | None
    high: float | None
    num_units: int
    reason: str = ""


def compare(first: Scores, second: Scores) -> tuple[Agreement, ...]:
    """Compare two ways of scoring, width by width, the highest first, and over all together.

    Equal scores share their mean rank. Units that one of the two has not scored, or whose score is
    no finite number, do not count.

    Source of the interval: Bonett and Wright 2000, Sample size requirements for estimating Pearson,
    Kendall and Spearman correlations (Psychometrika 65): Fisher's z with variance
    (1 + r² / 2) / (n − 3). We differ in two places. Where orders are the same or reversed z is
    infinite; there the end is that of the next order, with two neighbours changed. Over all widths
    together n counts units, not pairs of unit and width, which are not independent.

    Args:
        first: Scores of one way.
        second: Scores of the other.

    Returns:
        One for every width that both have, then one over all, whose `bits` is None; nothing where
        they have no width in common.
    """
    pairs = _pair(first, second)
    found = [_agree(bits, pairs[bits]) for bits in sorted(pairs, reverse=True)]
    if not found:
        return ()
    return (*found, _agree(None, [each for of_width in pairs.values() for each in of_width]))


@dataclass(frozen=True)
class _Pair:
    unit: str
    first: float
    second: float


def _pair(first: Scores, second: Scores) -> dict[int, list[_Pair]]:
    """Return the units both have scored, by width."""
    pairs: dict[int, list[_Pair]] = {}
    for unit, scores in first.items():
        others = second.get(unit, {})
        for bits, value in scores.items():
            other = others.get(bits, math.nan)
            if math.isfinite(value) and math.isfinite(other):
                pairs.setdefault(bits, []).append(_Pair(unit, value, other))
    return pairs


def _agree(bits: int | None, pairs: Sequence[_Pair]) -> Agreement:
    count = len({pair.unit for pair in pairs})
    if count < LEAST_UNITS:
        reason = f"both have scored {count}, and an order needs at least {LEAST_UNITS}"
        return Agreement(bits, None, None, None, count, reason)
    first = _rank([pair.first for pair in pairs])
    second = _rank([pair.second for pair in pairs])
    spread = float(np.sqrt((first @ first) * (second @ second)))
    if not spread:
        return Agreement(bits, None, None, None, count, "one of them scores all of them the same")
    correlation = max(-1.0, min(1.0, float(first @ second) / spread))
    low, high = _bound(correlation, count)
    return Agreement(bits, correlation, low, high, count)


def _rank(values: Sequence[float]) -> NDArray[Any]:
    """Return centred ranks, equal values at their mean."""
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means = last - (counts - 1) / 2
    ranks: NDArray[Any] = means[places] - (len(values) + 1) / 2
    return ranks


def _bound(correlation: float, count: int) -> tuple[float, float]:
    most = 1 - 12 / (count * (count**2 - 1))  # two neighbours changed
    z = math.atanh(max(-most, min(most, correlation)))
    reach = NORMAL_95 * math.sqrt((1 + correlation**2 / 2) / (count - 3))
    low, high = math.tanh(z - reach), math.tanh(z + reach)
    return min(low, correlation), max(high, correlation)
