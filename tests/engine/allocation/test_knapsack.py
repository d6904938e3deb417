"""The exact knapsack: never too large, equal to trying everything, honest about its bound."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from engine.allocation import knapsack
from engine.allocation.knapsack import Floats, Ints, solve


def some_items(seed: int, *, count: int, num_choices: int = 3) -> tuple[Floats, Ints]:
    """Return costs and sizes without order, with ties, as no one would want them."""
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 12, (count, num_choices)) / 4
    sizes = rng.integers(0, 9, (count, num_choices))
    return costs.astype(float), sizes


def try_everything(costs: Floats, sizes: Ints, limit: int) -> float:
    """Return the least cost of all solutions: the slow way."""
    items = range(len(costs))
    return min(
        sum(float(costs[item, choice]) for item, choice in zip(items, choices, strict=True))
        for choices in product(range(costs.shape[1]), repeat=len(costs))
        if sum(sizes[item, choice] for item, choice in zip(items, choices, strict=True)) <= limit
    )


def cost_of(values: Floats | Ints, choices: Ints) -> float:
    return float(values[np.arange(len(values)), choices].sum())


@pytest.mark.parametrize("seed", range(40))
def test_equals_trying_everything(seed: int) -> None:
    """Of six items with three choices the solution costs what the best of all 729 does."""
    costs, sizes = some_items(seed, count=6)
    low, high = int(sizes.min(axis=1).sum()), int(sizes.max(axis=1).sum())
    for limit in range(low, high + 1, 3):
        found = solve(costs, sizes, limit)
        assert cost_of(sizes, found.choices) <= limit
        assert cost_of(costs, found.choices) == found.cost
        assert found.cost == pytest.approx(try_everything(costs, sizes, limit), abs=1e-9)
        assert found.bound == found.cost


@pytest.mark.parametrize("seed", range(5))
def test_more_room_never_costs_more(seed: int) -> None:
    """A larger limit gives a solution at least as cheap."""
    costs, sizes = some_items(seed, count=60, num_choices=7)
    low, high = int(sizes.min(axis=1).sum()), int(sizes.max(axis=1).sum())
    found = [solve(costs, sizes, limit).cost for limit in range(low, high + 1, 5)]
    assert found == sorted(found, reverse=True)


def test_nothing_to_trade() -> None:
    """Where every choice costs the same, the smallest are taken."""
    sizes = np.array([[3, 1, 2]] * 4)
    found = solve(np.ones((4, 3)), sizes, 100)
    assert found.choices.tolist() == [1] * 4
    assert found.cost == found.bound == 4


def test_a_limit_too_small_is_refused() -> None:
    """A limit below the smallest choices together is refused."""
    with pytest.raises(ValueError, match="the smallest choices take 4 of 3"):
        solve(np.ones((2, 2)), np.array([[2, 3], [2, 3]]), 3)


def test_a_short_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that may keep only one partial solution still fits and bounds the true best."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1000, 100_000, (40, 5))
    costs = 1e6 / sizes * rng.uniform(0.5, 2, (40, 5))
    limit = int(sizes.mean() * 40)
    exact = solve(costs, sizes, limit)
    assert exact.bound == exact.cost
    monkeypatch.setattr(knapsack, "MAX_STATES", 1)
    short = solve(costs, sizes, limit)
    assert cost_of(sizes, short.choices) <= limit
    assert short.bound <= exact.cost <= short.cost
    assert short.bound < short.cost
