"""The lower convex hulls of all items in size and loss, and their steps by loss saved per bit.

Numbers only. Taking steps in this order gives, after each, the best map of exactly that size: the
Lagrangian frontier. Start with `find_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.allocation.choices import Floats, Ints, Table


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps along the hulls, the one that saves most per bit first.

    Attributes:
        start: (I,) place of each item's smallest choice.
        item: (K,) whose step it is.
        choice: (K,) place of the choice it leads to.
        price: (K,) loss saved per bit; above zero, falling.
        stored_bits: (K + 1,) what all items take before the first step and after each.
        losses: (K + 1,) what is lost there; falling.
        is_useful: (I, C) whether a choice loses less than every smaller one of its item.
    """

    start: Ints
    item: Ints
    choice: Ints
    price: Floats
    stored_bits: Ints
    losses: Floats
    is_useful: np.ndarray

    def choices_after(self, count: int) -> Ints:
        """Return (I,) the choice of every item after so many steps."""
        choices = self.start.copy()
        choices[self.item[:count]] = self.choice[:count]  # of an item's steps the last holds
        return choices


def find_steps(table: Table) -> Steps:
    """Find the steps of every item's hull and put them in one order.

    Of steps that save alike per bit those of the item first in the alphabet come first, so that the
    order of the layers does not matter.
    """
    order = np.lexsort((table.losses, table.stored_bits))
    sizes = np.take_along_axis(table.stored_bits, order, axis=1)
    losses = np.take_along_axis(table.losses, order, axis=1)
    is_useful = _find_useful(losses)
    item, rank, place, price = _walk(sizes, losses, is_useful)
    by_price = np.lexsort((rank, _rank_names(table.names)[item], -price))
    item, rank, place = item[by_price], rank[by_price], place[by_price]
    before = _find_before(item, place)
    added = sizes[item, place] - sizes[item, before]
    saved = losses[item, before] - losses[item, place]
    back = np.zeros_like(is_useful)
    np.put_along_axis(back, order, is_useful, axis=1)
    return Steps(
        start=order[:, 0],
        item=item,
        choice=order[item, place],
        price=price[by_price],
        stored_bits=np.concatenate(([0], np.cumsum(added))) + sizes[:, 0].sum(),
        losses=losses[:, 0].sum() - np.concatenate(([0.0], np.cumsum(saved))),
        is_useful=back,
    )


def _find_useful(losses: Floats) -> np.ndarray:
    """Return which choices lose less than every smaller one; (I, C) sorted by size, then loss."""
    least = np.minimum.accumulate(losses, axis=1)
    return np.concatenate(
        (np.ones((len(losses), 1), dtype=bool), losses[:, 1:] < least[:, :-1]), axis=1
    )


def _walk(sizes: Ints, losses: Floats, is_useful: np.ndarray) -> tuple[Ints, Ints, Ints, Floats]:
    """Walk all hulls at once, from the smallest choice to the best.

    Args:
        sizes: (I, C) sorted.
        losses: (I, C).
        is_useful: (I, C).

    Returns:
        (K,) item, number of the step within its item, place it leads to, and loss saved per bit.
    """
    rows = np.arange(len(sizes))
    current = np.zeros(len(sizes), dtype=np.int64)
    last = np.full(len(sizes), np.inf)
    found = []
    for number in range(sizes.shape[1] - 1):
        added = sizes - sizes[rows, current][:, None]
        saved = losses[rows, current][:, None] - losses
        is_open = is_useful & (added > 0) & (saved > 0)
        prices = np.where(is_open, saved / np.where(is_open, added, 1), 0.0)
        best = prices.max(axis=1)
        (moved,) = np.nonzero(best > 0)
        if not len(moved):
            break
        # of steps that save alike the longest: what lies on the line between is no corner
        place = sizes.shape[1] - 1 - prices[:, ::-1].argmax(axis=1)
        last = np.minimum(last, best)  # rounding must not put a later step first
        current[moved] = place[moved]
        found.append((moved, np.full(len(moved), number), place[moved], last[moved]))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none, np.zeros(0)
    item, rank, place, price = (np.concatenate(part) for part in zip(*found, strict=True))
    return item, rank, place, price


def _rank_names(names: Sequence[tuple[str, ...]]) -> Ints:
    """Return the place of each item among all when sorted by name."""
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return ranks


def _find_before(item: Ints, place: Ints) -> Ints:
    """Return the place each step starts from; (K,) in the order of the steps."""
    order = np.argsort(item, kind="stable")
    before = np.zeros_like(place)
    shifted = np.concatenate(([0], place[order][:-1])) if len(place) else place
    is_first = np.concatenate(([True], np.diff(item[order]) != 0)) if len(place) else place
    before[order] = np.where(is_first, 0, shifted)
    return before
