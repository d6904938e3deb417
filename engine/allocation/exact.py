"""The best map there is for a budget, proven: a search of our own, and scipy's MILP as reference.

Slower than `frontier`, which is measured against both. Start with `solve_exactly`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.allocation.choices import Floats, Ints, Table
from engine.allocation.frontier import Frontier, Solution, build_frontier
from engine.allocation.knapsack import solve

Method = Literal["search", "milp"]
_GAP = 1e-9
"""Relative gap at which the MILP may stop; HiGHS alone would at 1e-4."""


def solve_exactly(table: Table, limit_bits: int, *, method: Method = "search") -> Solution:
    """Find the best map that takes at most so many bits.

    Args:
        table: The layers with their choices.
        limit_bits: What they may take together.
        method: "search" is `knapsack`, whose bound is below the loss where it had to stop early;
            "milp" is the HiGHS solver that comes with scipy, with the bound it reports.

    Raises:
        SpecError: At "budget", when even the lowest widths take more.
        RuntimeError: When the MILP ends without an answer.
    """
    frontier = build_frontier(table)
    near = frontier.solve(limit_bits)
    if method == "search":
        found = solve(table.losses, table.stored_bits, limit_bits)
        choices, bound = found.choices, found.bound
    else:
        choices, bound = _solve_milp(table, limit_bits)
    return _describe(frontier, choices, bound, near=near)


def _describe(frontier: Frontier, choices: Ints, bound: float, *, near: Solution) -> Solution:
    """Name the widths; what the next MiB saves is told by the frontier."""
    rows = np.arange(len(choices))
    loss = float(frontier.table.losses[rows, choices].sum())
    return Solution(
        widths=frontier.table.name_widths(choices),
        loss=loss,
        stored_bits=int(frontier.table.stored_bits[rows, choices].sum()),
        bound=min(bound, loss),
        next_gain=near.next_gain,
        best_next=near.best_next,
    )


def _solve_milp(table: Table, limit_bits: int) -> tuple[Ints, float]:
    """Solve the same as one binary variable for each item and choice.

    Sizes are divided by their greatest common divisor, which keeps them whole and small enough for
    the tolerances of the solver.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415  slow to import
    from scipy.sparse import coo_array, vstack  # noqa: PLC0415

    num_items, num_choices = table.losses.shape
    unit = int(np.gcd.reduce(table.stored_bits, axis=None))
    num_variables = num_items * num_choices
    columns = np.arange(num_variables)
    one_each = coo_array((np.ones(num_variables), (columns // num_choices, columns)))
    sizes = coo_array((table.stored_bits.ravel() / unit).reshape(1, -1))
    lower = np.append(np.ones(num_items), -np.inf)
    upper = np.append(np.ones(num_items), limit_bits // unit)
    result = milp(
        _scale(table.losses).ravel(),
        constraints=LinearConstraint(vstack([one_each, sizes]), lower, upper),
        bounds=Bounds(0, 1),
        integrality=np.ones(num_variables),
        options={"mip_rel_gap": _GAP},
    )
    if result.x is None:
        raise RuntimeError(f"the MILP solver found nothing: {result.message}")
    choices = result.x.reshape(num_items, num_choices).argmax(axis=1)
    if table.stored_bits[np.arange(num_items), choices].sum() > limit_bits:
        raise RuntimeError("the MILP solver went over the budget, by its tolerance")
    scale = float(np.abs(table.losses).max()) or 1.0
    return choices, float(result.mip_dual_bound) * scale


def _scale(losses: Floats) -> Floats:
    """Bring losses near one, as the solver's tolerances are absolute."""
    return losses / (float(np.abs(losses).max()) or 1.0)
