"""Maps between two corners of the frontier: what a rest too small for the next step can buy.

Near a corner few layers are undecided. Their changes are combined by dynamic programming, whatever
the budget is; a larger budget therefore finds all that a smaller one does. Start with `fill`.

Source: the core of the multiple-choice knapsack, Pisinger 1995, "A minimal algorithm for the
multiple-choice knapsack problem". We differ in that the core has a fixed size, so that the answer
takes milliseconds and is not always the best there is; how far off it may be is known.
"""

from __future__ import annotations

import numpy as np

from engine.allocation.choices import Ints, Table
from engine.allocation.hull import Steps
from engine.allocation.knapsack import grow, trace

NUM_CHANGES = 24
"""Changes of single items that are combined: those that cost least at the corner's price."""
MAX_STATES = 256
"""Combinations kept at once."""


def fill(table: Table, steps: Steps, *, corner: int, room: int) -> Ints:
    """Return the best choices found that take at most `room` more than a corner of the frontier.

    Args:
        table: The items.
        steps: The frontier.
        corner: How many of its steps are taken; not all.
        room: Bits left, less than the next step takes.

    Returns:
        (I,) choices; those of the corner where nothing better was found.
    """
    choices = steps.choices_after(corner)
    price = float(steps.price[corner])
    width = int(steps.stored_bits[corner + 1] - steps.stored_bits[corner])
    rows = np.arange(len(choices))
    own = table.stored_bits[rows, choices]
    added = table.stored_bits - own[:, None]
    regrets = table.losses - table.losses[rows, choices][:, None] + price * added
    regrets = np.maximum(regrets, 0.0)
    gap = price * width
    is_open = steps.is_useful & (regrets < gap)
    is_open[rows, choices] = False
    is_open = _keep_cheapest(is_open, regrets)
    (items,) = np.nonzero(is_open.any(axis=1))
    if not len(items):
        return choices
    is_open[rows, choices] = True
    items = items[np.argsort(-np.ptp(table.stored_bits[items], axis=1), kind="stable")]
    grown, _ = grow(
        np.where(is_open[items], table.stored_bits[items], -1),
        regrets[items],
        start=-int(own[items].sum()),
        limit=width - 1,
        price=price,
        gap=gap,
        most=MAX_STATES,
    )
    last = grown[-1]
    saved = np.where(last.size <= room, price * last.size - last.regret, 0.0)
    if not len(saved) or saved.max() <= 0:
        return choices
    return trace(grown, choices, items, place=int(saved.argmax()))


def _keep_cheapest(is_open: np.ndarray, regrets: np.ndarray) -> np.ndarray:
    """Keep the changes with the smallest regret."""
    (places,) = np.nonzero(is_open.ravel())
    if len(places) <= NUM_CHANGES:
        return is_open
    order = np.argsort(regrets.ravel()[places], kind="stable")
    kept = np.zeros(is_open.size, dtype=bool)
    kept[places[order[:NUM_CHANGES]]] = True
    return kept.reshape(is_open.shape)
