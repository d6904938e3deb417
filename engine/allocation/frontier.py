"""From a budget to a layer map: the whole frontier of size and loss at once, any budget from it.

Losses are taken to add up. Start with `build_frontier`; `core` fills what is left between two
corners of the frontier, `exact` is the slow answer this one is measured against.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.allocation.budgets import MIB_BITS, find_least
from engine.allocation.choices import Floats, Ints, Table
from engine.allocation.core import fill
from engine.allocation.hull import Steps, find_steps
from engine.errors import SpecError


@dataclass(frozen=True)
class Solution:
    """A layer map for a budget.

    Attributes:
        widths: Width by layer.
        loss: The sum of what its layers lose.
        stored_bits: What its layers take; at most what was asked.
        bound: No map within the budget loses less.
        next_gain: Loss that the next MiB saves; None where more room saves nothing.
        best_next: Layers that the next MiB widens, the most worthwhile first.
    """

    widths: dict[str, int]
    loss: float
    stored_bits: int
    bound: float
    next_gain: float | None = None
    best_next: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """How far from the best the map can be at most, as a share of its loss."""
        missed = self.loss - self.bound
        return missed / abs(self.loss) if missed > 0 and self.loss else 0.0


@dataclass(frozen=True, eq=False)
class Frontier:
    """Every size worth having.

    Source: Lagrangian relaxation of the multiple-choice knapsack (Sinha and Zoltners 1979, "The
    multiple-choice knapsack problem"); each corner is the best map of its size.

    Attributes:
        table: The layers with their choices.
        steps: The steps from corner to corner.
    """

    table: Table
    steps: Steps

    @cached_property
    def points(self) -> tuple[Ints, Floats]:
        """Stored bits and loss of every corner, (K + 1,) each; from the smallest map to the best.

        The straight lines between them are the bound.
        """
        return self.steps.stored_bits, self.steps.losses

    def solve(self, limit_bits: int) -> Solution:
        """Return the best map found that takes at most so many bits.

        More bits never lose more: what fills the room between two corners does not depend on how
        much room there is, and a corner is better than everything smaller.

        Raises:
            SpecError: At "budget", when even the lowest widths take more.
        """
        if limit_bits < self.table.smallest_bits:
            least = find_least("mib", self.table)
            raise SpecError.at(
                "budget",
                f"{limit_bits / MIB_BITS:.4g} MiB is less than these layers can take; use at "
                f"least {least}",
            )
        corner = self._find_corner(limit_bits)
        room = limit_bits - int(self.steps.stored_bits[corner])
        is_last = corner == len(self.steps.item)
        if is_last or not room:
            choices = self.steps.choices_after(corner)
        else:
            choices = fill(self.table, self.steps, corner=corner, room=room)
        rows = np.arange(len(choices))
        loss = float(self.table.losses[rows, choices].sum())
        gain = self.bound_at(limit_bits) - self.bound_at(limit_bits + MIB_BITS)
        return Solution(
            widths=self.table.name_widths(choices),
            loss=loss,
            stored_bits=int(self.table.stored_bits[rows, choices].sum()),
            bound=min(loss, self.bound_at(limit_bits)),
            next_gain=gain if gain > 0 else None,
            best_next=self._list_next(corner, choices),
        )

    def bound_at(self, limit_bits: int) -> float:
        """Return what no map within so many bits loses less than."""
        return float(np.interp(limit_bits, self.steps.stored_bits, self.steps.losses))

    def _find_corner(self, limit_bits: int) -> int:
        """Return how many steps fit."""
        return int(np.searchsorted(self.steps.stored_bits, limit_bits, side="right")) - 1

    def _list_next(self, corner: int, choices: Ints) -> tuple[str, ...]:
        """Return the layers of the steps behind a corner until a MiB is spent, one at least."""
        sizes = self.table.stored_bits
        room, found = MIB_BITS, dict[str, None]()
        current = choices.copy()
        for item, choice in zip(
            self.steps.item[corner:].tolist(), self.steps.choice[corner:].tolist(), strict=True
        ):
            added = int(sizes[item, choice] - sizes[item, current[item]])
            if added <= 0:
                continue
            if found and added > room:
                break
            found.update(dict.fromkeys(self.table.names[item]))
            current[item] = choice
            room -= added
            if room <= 0:
                break
        return tuple(found)


def build_frontier(table: Table) -> Frontier:
    """Find every corner of the frontier."""
    return Frontier(table, find_steps(table))
