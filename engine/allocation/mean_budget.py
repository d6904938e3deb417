"""The widths with the smallest summed scores within a number of bits on the mean.

Scores come from outside (`engine.sensitivity`): what is lost where a layer has a width. They are
taken to add up. Start with `fit_budget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from engine.allocation.fractions import Widths, mean_bits
from engine.allocation.knapsack import solve
from engine.errors import SpecError

FIELD = "quantizer.bits"
Scores = Mapping[str, Mapping[int, float]]
"""What is lost at each width, by layer; every layer has the same widths."""


@dataclass(frozen=True)
class Allocation:
    """Widths of layers.

    Attributes:
        widths: Width by layer.
        average: The mean width reached, over weights; at most what was asked.
        score: The summed scores of these widths.
        bound: No widths within the budget have a smaller sum; equal to `score` where these are
            proven to be the best.
    """

    widths: Widths
    average: float
    score: float
    bound: float


def fit_budget(scores: Scores, sizes: Mapping[str, int], bits: float) -> Allocation:
    """Choose a width for every layer so that the scores add up to as little as the mean allows.

    Args:
        scores: Score of each layer at each width; finite. Where a higher width scores no better, it
            is not taken.
        sizes: Weights of each layer.
        bits: The mean width that must not be exceeded, over weights.

    Raises:
        SpecError: When even the lowest width everywhere is above it; says the smallest possible.
    """
    names, widths = list(scores), sorted(next(iter(scores.values())))
    if bits < widths[0]:
        raise SpecError.at(
            FIELD, f"{bits} is below the lowest width of the layers; use at least {widths[0]}"
        )
    costs = np.array([[scores[name][width] for width in widths] for name in names], dtype=float)
    stored = np.array([[_count_bits(sizes[name], width) for width in widths] for name in names])
    limit = int(Fraction(str(bits)) * sum(sizes[name] for name in names))
    solution = solve(costs, stored, limit)
    chosen = {
        name: widths[place] for name, place in zip(names, solution.choices.tolist(), strict=True)
    }
    return Allocation(chosen, mean_bits(chosen, sizes), solution.cost, solution.bound)


def check_layers(num_layers: int, bits: float) -> None:
    """Make sure that there are layers enough to differ.

    Raises:
        SpecError: When a fraction is asked of a single layer.
    """
    if num_layers < 2 and bits != int(bits):
        raise SpecError.at(
            FIELD,
            f"{bits} on the mean needs two layers or more, and one is selected; use {int(bits)} "
            f"or {int(bits) + 1}",
        )


def _count_bits(num_weights: int, width: int) -> int:
    """Return what a layer takes of the budget: its codes.

    Scales and zero points are not counted, as the budget is one of nominal bits; a budget in bytes
    counts them here.
    """
    return num_weights * width
