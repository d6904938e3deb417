"""The exact multiple-choice knapsack: one choice per item, least cost, total size within a bound.

Numbers only; what they mean is said in `budget`. Start with `solve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MAX_STATES = 50_000
"""Partial solutions kept at once; beyond it the search is no longer exact, and says so."""
_MAX_ROUNDS = 200
_ROUNDING = 1e-12
"""Relative size of what floating point may lose in a sum of costs."""


@dataclass(frozen=True)
class Packing:
    """A choice for every item.

    Attributes:
        choices: (L,) index of the choice of each item.
        cost: Sum of the costs.
        bound: No solution costs less; equal to `cost` where this one is the best.
    """

    choices: Ints
    cost: float
    bound: float


class _Price(NamedTuple):
    """The price of size at which the cheapest solution changes from too large to small enough."""

    price: float
    bound: float
    small: Ints
    large: Ints


class States(NamedTuple):
    """Partial solutions over the open items so far, by size; (S,) each.

    Attributes:
        size: Total size, everything fixed included.
        regret: What is lost against the cheapest choices at the price of size.
        parent: Place of the partial solution it goes on from.
        choice: What was chosen of the last item.
    """

    size: Ints
    regret: Floats
    parent: Ints
    choice: Ints

    def pick(self, places: Ints | NDArray[np.bool_]) -> States:
        """Return some of them."""
        return States(
            self.size[places], self.regret[places], self.parent[places], self.choice[places]
        )


def solve(costs: Floats, sizes: Ints, limit: int) -> Packing:
    """Find the cheapest choices whose sizes add up to at most `limit`.

    The Lagrangian bound gives a price of size and a first solution; a choice whose regret at that
    price is larger than what the first solution may be off is out. What is left is searched by
    dynamic programming over non-dominated partial solutions (the core of Pisinger 1995, "A minimal
    algorithm for the multiple-choice knapsack problem"; we keep arrays sorted by size instead of
    lists, and reduce once instead of growing the core).

    Args:
        costs: (L, C) finite cost of each choice.
        sizes: (L, C) size of each choice, at least 0.
        limit: The largest total size; at least the sum of the smallest sizes.

    Raises:
        ValueError: When even the smallest choices are too large together.
    """
    if int(sizes.min(axis=1).sum()) > limit:
        raise ValueError(f"the smallest choices take {sizes.min(axis=1).sum()} of {limit}")
    # of equal costs the smaller choice, so that what is cheapest is also as small as it can be
    cheapest = np.lexsort((sizes, costs))[:, 0]
    if _total(sizes, cheapest) <= limit:
        cost = float(_total(costs, cheapest))
        return Packing(cheapest, cost, cost)
    found = _find_price(costs, sizes, limit, cheapest)
    first = _improve(costs, sizes, _fill(sizes, limit, found), limit)
    return _search(costs, sizes, limit, found=found, first=first)


def _total(values: Floats | Ints, choices: Ints) -> float:
    return values[np.arange(len(values)), choices].sum()  # type: ignore[no-any-return]


def _find_price(costs: Floats, sizes: Ints, limit: int, cheapest: Ints) -> _Price:
    """Find the price of size with the highest Lagrangian bound, by secants of its concave graph."""
    large, small = cheapest, np.lexsort((costs, sizes))[:, 0]
    price = bound = 0.0
    for _ in range(_MAX_ROUNDS):
        more = float(_total(costs, small) - _total(costs, large))
        price = more / float(_total(sizes, large) - _total(sizes, small))
        priced = costs + price * sizes
        choices = priced.argmin(axis=1)
        bound = float(_total(priced, choices)) - price * limit
        known = float(_total(priced, large)) - price * limit
        if bound >= known - _ROUNDING * abs(known):
            break
        if _total(sizes, choices) <= limit:
            small = choices
        else:
            large = choices
    return _Price(price, bound, small, large)


def _fill(sizes: Ints, limit: int, found: _Price) -> Ints:
    """Take of the too large solution what fits, the largest steps first."""
    choices = found.small.copy()
    rows = np.arange(len(sizes))
    steps = sizes[rows, found.large] - sizes[rows, choices]
    room = limit - int(_total(sizes, choices))
    for row in np.argsort(-steps, kind="stable"):
        if found.large[row] != choices[row] and steps[row] <= room:
            choices[row] = found.large[row]
            room -= int(steps[row])
    return choices


def _improve(costs: Floats, sizes: Ints, choices: Ints, limit: int) -> Ints:
    """Take single changes that fit and save most, until none does."""
    rows = np.arange(len(costs))
    for _ in range(len(costs)):
        room = limit - _total(sizes, choices)
        saved = costs[rows, choices][:, None] - costs
        larger = sizes - sizes[rows, choices][:, None]
        saved = np.where(larger <= room, saved, 0.0)
        place = int(saved.argmax())
        row, choice = divmod(place, costs.shape[1])
        if saved[row, choice] <= 0:
            break
        choices[row] = choice
    return choices


def _search(costs: Floats, sizes: Ints, limit: int, *, found: _Price, first: Ints) -> Packing:
    """Search what may be better than the first solution; return the better of the two."""
    cost = float(_total(costs, first))
    gap = cost - found.bound
    priced = costs + found.price * sizes
    regrets = priced - priced.min(axis=1, keepdims=True)
    is_open = regrets < gap * (1 + 1e-9)
    if gap <= _ROUNDING * abs(cost):
        return Packing(first, cost, cost)
    fixed = is_open.sum(axis=1) == 1
    choices = np.where(fixed, is_open.argmax(axis=1), first)
    rows = np.flatnonzero(~fixed)
    # items with the largest sizes first: what is left is then known early
    rows = rows[np.argsort(-np.ptp(sizes[rows], axis=1), kind="stable")]
    start = int(_total(sizes, choices) - sizes[rows, choices[rows]].sum())
    sizes_open = np.where(is_open[rows], sizes[rows], -1)
    steps, is_exact = grow(
        sizes_open, regrets[rows], start=start, limit=limit, price=found.price, gap=gap
    )
    best = _trace(steps, choices.copy(), rows, limit=limit, price=found.price)
    if best is None or float(_total(costs, best)) >= cost:
        best = first
    best_cost = float(_total(costs, best))
    return Packing(best, best_cost, best_cost if is_exact else min(best_cost, found.bound))


def grow(
    sizes: Ints,
    regrets: Floats,
    *,
    start: int,
    limit: int,
    price: float,
    gap: float,
    most: int | None = None,
) -> tuple[list[States], bool]:
    """Extend partial solutions item by item; drop what cannot beat the gap or is dominated.

    Args:
        sizes: (K, C) sizes of the open items; negative where a choice is out.
        regrets: (K, C).
        start: Size of everything fixed.
        limit: The largest total size.
        price: The price of size.
        gap: Regret from which on a solution is no better than the one at hand.
        most: Partial solutions kept at once; `MAX_STATES` where None.

    Returns:
        The partial solutions after each item, and whether none had to be dropped for their number.
    """
    smallest = np.where(sizes < 0, np.iinfo(np.int64).max, sizes).min(axis=1)
    left_small = np.append(np.cumsum(smallest[::-1])[::-1], 0)
    left_large = np.append(np.cumsum(sizes.max(axis=1)[::-1])[::-1], 0)
    none = np.zeros(1, dtype=np.int64)
    states = States(none + start, np.zeros(1), none, none)
    steps, is_exact = [], True
    most = MAX_STATES if most is None else most
    for item, (size, regret) in enumerate(zip(sizes, regrets, strict=True)):
        (open_choices,) = np.nonzero(size >= 0)
        states = _extend(states, size, regret, open_choices)
        # room that cannot be filled any more costs its price
        unused = limit - states.size - left_large[item + 1]
        lost = states.regret + price * np.maximum(unused, 0)
        states = states.pick((states.size + left_small[item + 1] <= limit) & (lost < gap))
        states = drop_dominated(states, price)
        if len(states.size) > most:
            is_exact = False
            kept = np.argpartition(states.regret, most)[:most]
            states = states.pick(np.sort(kept))
        steps.append(states)
    return steps, is_exact


def _extend(states: States, size: Ints, regret: Floats, choices: Ints) -> States:
    """Return every partial solution with every choice of the next item."""
    count = len(states.size)
    return States(
        (states.size[None] + size[choices, None]).ravel(),
        (states.regret[None] + regret[choices, None]).ravel(),
        np.tile(np.arange(count), len(choices)),
        np.repeat(choices, count),
    )


def drop_dominated(states: States, price: float) -> States:
    """Keep those that cost less than every smaller one."""
    if not len(states.size):
        return states
    cost = states.regret - price * states.size
    order = np.lexsort((cost, states.size))
    sorted_cost = cost[order]
    before = np.minimum.accumulate(sorted_cost)
    better = np.append(True, sorted_cost[1:] < before[:-1])
    return states.pick(order[better])


def _trace(
    steps: list[States], choices: Ints, rows: Ints, *, limit: int, price: float
) -> Ints | None:
    """Return the choices of the best complete solution; None where none was left."""
    if not steps or not len(steps[-1].size):
        return None
    last = steps[-1]
    place = int((last.regret + price * (limit - last.size)).argmin())
    return trace(steps, choices, rows, place=place)


def trace(steps: list[States], choices: Ints, rows: Ints, *, place: int) -> Ints:
    """Write the choices behind a complete solution.

    Args:
        steps: The partial solutions after each item.
        choices: (L,) what is chosen elsewhere; written to at `rows`.
        rows: Which item each of the steps is.
        place: The place of the solution among the last.
    """
    for row, states in zip(reversed(rows), reversed(steps), strict=True):
        choices[row] = states.choice[place]
        place = int(states.parent[place])
    return choices
