"""Promises of fitted ranges: zero inside, the sign of a symmetric scale, nothing changed."""

from __future__ import annotations

import pytest
import torch

from engine.quant.ranges import (
    asymmetric_grid,
    asymmetric_range,
    num_levels,
    symmetric_grid,
    symmetric_scale,
)
from tests.engine.quant import published
from tests.tolerances import assert_near

BITS = range(2, 9)
every_width = pytest.mark.parametrize("bits", BITS)


@every_width
@pytest.mark.parametrize("shift", [-5.0, 0.0, 5.0])
def test_asymmetric_ranges_reach_over_zero(bits: int, shift: float) -> None:
    """Groups of one sign get a range that ends at zero."""
    low, extent = asymmetric_range(torch.rand(4, 2, 8) + shift, bits)
    assert (low <= 0).all()
    assert (low + extent >= -1e-6).all()
    assert (extent > 0).all()


@every_width
def test_a_fitted_range_is_kept_by_its_grid(bits: int) -> None:
    """Snapping a range that was fitted moves neither end beyond rounding errors."""
    low, extent = asymmetric_range(torch.randn(8, 4, 64), bits)
    grid = asymmetric_grid(low, extent, bits)
    assert_near(grid.lower, low)
    assert_near(grid.width, extent)


@every_width
def test_snapping_moves_an_end_past_zero_or_grows_the_range(bits: int) -> None:
    """The range only loses an end within half a step of zero, and grows by half at most."""
    low, extent = torch.randn(64, 8), torch.randn(64, 8)
    grid = asymmetric_grid(low, extent, bits)
    lower, upper = low.clamp(max=0), (low + extent.abs()).clamp(min=0)
    is_end = (grid.zero_point == 0) | (grid.zero_point == grid.top)
    assert (grid.width >= (upper - lower) * (1 - 1e-6))[~is_end].all()
    assert (grid.width >= (upper - lower) * (1 - 0.5 / grid.top) - 1e-6).all()
    assert (grid.width <= (upper - lower) * 1.5 + 1e-6).all()


@every_width
def test_the_grid_begins_a_whole_number_of_steps_below_zero(bits: int) -> None:
    """The lower end is −zero_point · step, and the zero point is a whole number."""
    for grid in (
        asymmetric_grid(torch.randn(64, 8), torch.randn(64, 8), bits),
        symmetric_grid(torch.randn(64, 8), bits),
    ):
        assert torch.equal(grid.zero_point, grid.zero_point.round())
        assert_near(grid.lower, -grid.zero_point * grid.step)


@pytest.mark.parametrize(
    ("weights", "positive"),
    [([-3.0, 1.0], True), ([-1.0, 3.0], False), ([-2.0, 2.0], True), ([0.5, 0.25], False)],
)
def test_the_scale_is_positive_where_the_largest_weight_is_negative(
    weights: list[float], positive: bool
) -> None:
    """The extra level of a symmetric grid lies on the side of the largest magnitude."""
    scale = symmetric_scale(torch.tensor([[weights]]), 4)
    assert (scale.item() > 0) == positive
    assert abs(scale.item()) == max(map(abs, weights))


@every_width
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_end_with_the_extra_level_is_the_scale(bits: int, sign: float) -> None:
    """A positive scale ends exactly at −scale below, a negative one exactly at |scale| above."""
    grid = symmetric_grid(torch.tensor([[0.7 * sign]]), bits)
    end = grid.lower if sign > 0 else grid.lower + grid.width
    assert_near(end, torch.tensor([[-0.7 * sign]]))
    assert grid.step.item() == pytest.approx(0.7 / 2 ** (bits - 1))


def test_fitted_ranges_are_the_published_ones_to_the_bit() -> None:
    """Parameters of INT4_ASYM and INT4_SYM start with NNCF's bits."""
    grouped = torch.randn(5, 3, 64) * torch.tensor([1.0, 1e-3, 1e-12]).view(1, 3, 1)
    low, extent = asymmetric_range(grouped, 4)
    scale = symmetric_scale(grouped, 4)
    for row in range(5):
        for group in range(3):
            weights = list(grouped[row, group].numpy())
            expected = published.asymmetric_parameters(weights)
            assert (low[row, group].item(), extent[row, group].item()) == expected
            assert scale[row, group].item() == published.symmetric_scale(weights)


def test_fitting_changes_no_weight() -> None:
    """Ranges are computed from the weights without touching them."""
    grouped = torch.randn(2, 2, 8)
    before = grouped.clone()
    low, extent = asymmetric_range(grouped, 4)
    kept = low.clone(), extent.clone()
    asymmetric_grid(low, extent, 4)
    symmetric_grid(symmetric_scale(grouped, 4), 4)
    assert torch.equal(grouped, before)
    assert torch.equal(low, kept[0])
    assert torch.equal(extent, kept[1])


def test_levels_count_from_zero() -> None:
    """The highest code of b bits is 2^b − 1."""
    assert [num_levels(bits) for bits in (2, 3, 4, 8)] == [3, 7, 15, 255]
