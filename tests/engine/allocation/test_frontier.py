"""From scores to a map: never over budget, monotone, near the best, and honest about how near."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.allocation.budgets import MIB_BITS
from engine.allocation.choices import LayerChoices, Limits, Table, build_table
from engine.allocation.exact import Method, solve_exactly
from engine.allocation.frontier import build_frontier
from engine.errors import SpecError

WIDTHS = (2, 3, 4, 6, 8, 16)
SIZES = (9, 3, 3, 9, 24, 24, 24)
"""Weights of a block's layers, in units of 64 Ki."""


def some_choices(
    seed: int, *, num_blocks: int = 4, noise: float = 0.0, unit: int = 65_536
) -> list[LayerChoices]:
    """Return scores that fall about fourfold per bit, of a decoder's sizes, some widths missing."""
    rng = np.random.default_rng(seed)
    found = []
    for block, (kind, size) in product(range(num_blocks), enumerate(SIZES)):
        widths = tuple(width for width in WIDTHS if rng.random() < 0.9) or (4,)
        level = np.exp(rng.normal(0, 1.5))
        losses = level * 4.0 ** -np.array(widths) * rng.uniform(0.7, 1.4, len(widths))
        losses += noise * rng.normal(size=len(widths))
        stored = tuple(size * unit * width for width in widths)
        name = f"layers.{block}.{kind}"
        found.append(LayerChoices(name, size * unit, widths, tuple(losses.tolist()), stored))
    return found


CHOICES = st.lists(
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(-4, 12)),
        min_size=1,
        max_size=4,
        unique_by=lambda pair: pair[0],
    ),
    min_size=1,
    max_size=5,
)


def table_of(items: Sequence[Sequence[tuple[int, int]]]) -> Table:
    """Return layers of few sizes and losses, with ties, as no one would want them."""
    return build_table(
        LayerChoices(
            name=f"layer{place}",
            num_weights=8,
            widths=tuple(range(2, 2 + len(item))),
            losses=tuple(loss / 4 for _, loss in item),
            stored_bits=tuple(size for size, _ in item),
        )
        for place, item in enumerate(items)
    )


def list_limits(table: Table, count: int) -> list[int]:
    """Return budgets from the smallest to above the largest map."""
    return np.linspace(table.smallest_bits, table.largest_bits * 1.05, count).astype(int).tolist()


def measure(table: Table, widths: dict[str, int]) -> tuple[int, float]:
    """Return what a map takes and loses, added up anew."""
    stored, loss = 0, 0.0
    for row, names in enumerate(table.names):
        (shared,) = {widths[name] for name in names}
        place = table.widths[row].tolist().index(shared)
        stored += int(table.stored_bits[row, place])
        loss += float(table.losses[row, place])
    return stored, loss


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_within_the_budget_and_monotone(seed: int, noise: float) -> None:
    """No map takes more than asked, and a larger budget never loses more."""
    table = build_table(some_choices(seed, noise=noise))
    frontier = build_frontier(table)
    found = [(limit, frontier.solve(limit)) for limit in list_limits(table, 150)]
    for limit, solution in found:
        stored, loss = measure(table, solution.widths)
        assert solution.stored_bits == stored <= limit
        assert solution.loss == pytest.approx(loss)
        assert solution.bound <= solution.loss
    losses = [solution.loss for _, solution in found]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(losses))
    assert losses[-1] == pytest.approx(table.losses.min(axis=1).sum())


@given(CHOICES)
def test_small_cases_against_trying_everything(items: list[list[tuple[int, int]]]) -> None:
    """On every budget of a small case both exact solvers' loss is the least there is."""
    table = table_of(items)
    frontier = build_frontier(table)
    everything = [
        (
            sum(size for size, _ in choice),
            sum(loss for _, loss in choice) / 4,
        )
        for choice in product(*items)
    ]
    before = np.inf
    for limit in range(table.smallest_bits, table.largest_bits + 2):
        best = min(loss for size, loss in everything if size <= limit)
        solution, exact = frontier.solve(limit), solve_exactly(table, limit)
        assert exact.loss == pytest.approx(best)
        assert exact.stored_bits <= limit
        assert solution.stored_bits <= limit
        assert solution.bound - 1e-9 <= best <= solution.loss + 1e-9
        assert solution.loss <= before + 1e-9
        before = solution.loss


@pytest.mark.parametrize("method", ["search", "milp"])
@pytest.mark.parametrize("seed", range(3))
def test_near_the_best(seed: int, method: Method) -> None:
    """At many layers the loss is within 0.5 % of the proven best, and the bound below that."""
    table = build_table(some_choices(seed, num_blocks=20, noise=1e-4))
    frontier = build_frontier(table)
    for bits in (2.6, 3.1, 4.3):
        limit = int(bits * table.num_weights)
        solution, exact = frontier.solve(limit), solve_exactly(table, limit, method=method)
        assert exact.stored_bits <= limit
        assert solution.bound <= exact.loss <= solution.loss * (1 + 1e-9)
        assert solution.loss <= exact.loss * 1.005
        assert exact.bound == pytest.approx(exact.loss, rel=1e-6)
        assert solution.gap <= 0.02


def test_corners_are_the_best_of_their_size() -> None:
    """At every corner of the frontier nothing is missed: the exact search finds no better."""
    table = build_table(some_choices(2, noise=0.01))
    frontier = build_frontier(table)
    sizes, losses = frontier.points
    assert (np.diff(sizes) > 0).all()
    assert (np.diff(losses) < 0).all()
    for place in range(0, len(sizes), 7):
        solution = frontier.solve(int(sizes[place]))
        assert solution.loss == pytest.approx(losses[place])
        assert solve_exactly(table, int(sizes[place])).loss == pytest.approx(losses[place])


def test_a_higher_width_that_scores_no_better_is_not_taken() -> None:
    """With room for everything, layers stay at the smallest of the widths that lose least."""
    table = build_table(
        [
            LayerChoices("idle", 10, (2, 4, 8), (0.0, 0.0, 0.0), (20, 40, 80)),
            LayerChoices("odd", 10, (2, 4, 8), (1.0, -0.5, 0.25), (20, 40, 80)),
            LayerChoices("one", 10, (6,), (3.0,), (60,)),
        ]
    )
    solution = build_frontier(table).solve(10**9)
    assert solution.widths == {"idle": 2, "odd": 4, "one": 6}
    assert (solution.loss, solution.stored_bits) == (2.5, 120)
    assert solution.next_gain is None
    assert solution.best_next == ()


def test_order_and_scale_of_the_layers_change_nothing() -> None:
    """Layers in another order, and losses in another unit, give the same map."""
    choices = some_choices(5)
    table = build_table(choices)
    turned = build_table(choices[::-1])
    scaled = build_table(
        [
            LayerChoices(
                each.name,
                each.num_weights,
                each.widths,
                tuple(1024 * loss for loss in each.losses),
                each.stored_bits,
            )
            for each in choices
        ]
    )
    for limit in list_limits(table, 40):
        widths = build_frontier(table).solve(limit).widths
        assert list(widths) == [each.name for each in choices]
        assert build_frontier(turned).solve(limit).widths == widths
        assert build_frontier(scaled).solve(limit).widths == widths


def test_pins_limits_and_groups_are_kept() -> None:
    """Whatever the budget, pins hold, limits hold, and a group has one width."""
    choices = [each for each in some_choices(7) if each.widths == WIDTHS]
    names = [each.name for each in choices]
    limits = Limits(
        pins={names[0]: 6},
        least={names[3]: 4},
        most={names[4]: 3, names[5]: 8},
        groups=((names[1], names[2]), (names[2], names[5]), (names[0], names[6])),
    )
    table = build_table(choices, limits)
    frontier = build_frontier(table)
    for limit in list_limits(table, 60):
        widths = frontier.solve(limit).widths
        assert widths[names[0]] == widths[names[6]] == 6
        assert widths[names[3]] >= 4
        assert widths[names[4]] <= 3
        assert widths[names[1]] == widths[names[2]] == widths[names[5]] <= 8


def test_what_the_next_mib_buys() -> None:
    """The next MiB saves what the frontier falls by, in layers that it widens."""
    table = build_table(some_choices(3, unit=262_144))
    frontier = build_frontier(table)
    limit = int(3.1 * table.num_weights)
    solution = frontier.solve(limit)
    gain = frontier.bound_at(limit) - frontier.bound_at(limit + MIB_BITS)
    assert solution.next_gain == pytest.approx(gain)
    assert solution.next_gain is not None
    later = frontier.solve(limit + 8 * MIB_BITS)
    assert solution.next_gain * 4 < solution.loss - later.loss < solution.next_gain * 9
    assert solution.best_next
    assert all(later.widths[name] > solution.widths[name] for name in solution.best_next)


def test_too_small_a_budget() -> None:
    """A number of bits below the smallest map is refused with the smallest in MiB."""
    table = build_table(some_choices(1))
    least = table.smallest_bits / MIB_BITS
    with pytest.raises(
        SpecError, match=r"^budget: .* can take; use at least \d+\.\d MiB$"
    ) as found:
        build_frontier(table).solve(table.smallest_bits - 1)
    said = float(str(found.value).split()[-2])
    assert least <= said < least + 0.1
