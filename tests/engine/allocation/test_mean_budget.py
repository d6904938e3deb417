"""Widths within a budget of bits: never above it, never worse than the published rule."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from engine.allocation.fractions import mean_bits, spread_widths
from engine.allocation.mean_budget import Scores, check_layers, fit_budget
from engine.errors import SpecError

WIDTHS = range(2, 9)
KINDS = {"q_proj": 3, "k_proj": 1, "o_proj": 3, "up_proj": 8, "down_proj": 8}


def some_scores(
    seed: int, *, num_blocks: int, widths: range = WIDTHS
) -> tuple[Scores, dict[str, int]]:
    """Return scores that fall about fourfold per bit, and sizes as a decoder has them."""
    rng = np.random.default_rng(seed)
    sizes = {
        f"model.layers.{block}.{kind}": size * 110_592
        for block in range(num_blocks)
        for kind, size in KINDS.items()
    }
    scores = {
        name: {
            width: float(np.exp(level) * 4.0**-width * rng.uniform(0.7, 1.4)) for width in widths
        }
        for name, level in zip(sizes, rng.normal(0, 2, len(sizes)), strict=True)
    }
    return scores, sizes


@pytest.mark.parametrize("seed", range(4))
def test_never_above_the_budget(seed: int) -> None:
    """The mean width stays within the budget and comes within one small layer of it."""
    scores, sizes = some_scores(seed, num_blocks=12)
    for bits in (2, 2.1, 2.5, 3, 3.75, 5.2, 7.9):
        found = fit_budget(scores, sizes, bits)
        assert found.average == mean_bits(found.widths, sizes) <= bits
        assert bits - found.average < max(sizes.values()) / sum(sizes.values())
        assert found.score == pytest.approx(
            sum(scores[name][width] for name, width in found.widths.items())
        )
        assert found.bound == found.score


def test_monotone_in_the_budget() -> None:
    """More bits never score worse."""
    scores, sizes = some_scores(7, num_blocks=8)
    found = [fit_budget(scores, sizes, 2 + step / 16).score for step in range(97)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bits", [2.25, 2.5, 3.5, 4.5, 6.75])
def test_never_worse_than_the_first_layers(seed: int, bits: float) -> None:
    """At the size of the published rule's map the scores add up to no more than that map's."""
    scores, sizes = some_scores(seed, num_blocks=16)
    published = spread_widths(sizes, bits)
    sum_published = sum(scores[name][width] for name, width in published.items())
    assert fit_budget(scores, sizes, mean_bits(published, sizes)).score <= sum_published


@pytest.mark.parametrize("seed", range(6))
def test_equals_trying_everything(seed: int) -> None:
    """Five layers of three widths come out as the best of all 243 maps within the budget."""
    scores, sizes = some_scores(seed, num_blocks=1, widths=range(2, 5))
    for bits in (2, 2.3, 2.5, 3, 3.4):
        best = min(
            sum(scores[name][width] for name, width in zip(sizes, widths, strict=True))
            for widths in product(range(2, 5), repeat=len(sizes))
            if mean_bits(dict(zip(sizes, widths, strict=True)), sizes) <= bits
        )
        assert fit_budget(scores, sizes, bits).score == pytest.approx(best)


def test_layers_that_do_not_matter_get_the_lowest_width() -> None:
    """A layer that scores nothing at any width takes nothing from the others."""
    scores, sizes = some_scores(1, num_blocks=2)
    idle = "model.layers.0.up_proj"
    found = fit_budget({**scores, idle: dict.fromkeys(WIDTHS, 0.0)}, sizes, 4.2)
    assert found.widths[idle] == 2


def test_a_budget_too_small() -> None:
    """A budget below the lowest width says the smallest possible."""
    scores, sizes = some_scores(1, num_blocks=1, widths=range(3, 5))
    with pytest.raises(SpecError, match=r"2\.5 is below the lowest width .* at least 3"):
        fit_budget(scores, sizes, 2.5)


def test_one_layer_cannot_differ() -> None:
    """A fraction of a single layer is refused with the whole widths beside it."""
    with pytest.raises(SpecError, match=r"2\.5 on the mean needs two layers .* use 2 or 3"):
        check_layers(1, 2.5)
    check_layers(2, 2.5)
    check_layers(1, 3)
