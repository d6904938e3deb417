"""Compensation: the output changes less, and nothing is done where nothing can be gained."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.initialize.compensation import compensate, inverse_factor, search_grid
from engine.quant.grouping import join, split
from engine.quant.ranges import (
    Grid,
    asymmetric_grid,
    asymmetric_range,
    symmetric_grid,
    symmetric_scale,
)
from engine.quant.uniform import fake_quantize

O, I, G = 24, 128, 2  # noqa: E741  shape letters of the engine


def fit_asymmetric(grouped: Tensor, bits: int = 2) -> Grid:
    return asymmetric_grid(*asymmetric_range(grouped, bits), bits)


def fit_symmetric(grouped: Tensor, bits: int = 2) -> Grid:
    return symmetric_grid(symmetric_scale(grouped, bits), bits)


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(O, I, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def moments() -> Tensor:
    """Moments of inputs that depend on each other, as those of real layers do."""
    generator = torch.Generator().manual_seed(2)
    mixing = torch.randn(I, I, generator=generator) / I**0.5 + torch.eye(I)
    inputs = torch.randn(1024, I, generator=generator) @ mixing
    return inputs.t() @ inputs


def output_error(error: Tensor, moments: Tensor) -> float:
    return float((error @ moments * error).sum())


@pytest.mark.parametrize("fit", [fit_asymmetric, fit_symmetric], ids=["asymmetric", "symmetric"])
def test_the_output_changes_less_than_with_rounding(
    weight: Tensor, moments: Tensor, fit: type
) -> None:
    """Compensated start weights round to a layer whose output is nearer to the original's."""
    plain = join(fake_quantize(split(weight, G), fit(split(weight, G))))
    start = compensate(weight, moments, num_groups=G, fit=fit)
    grid = Grid(start.lower, start.width, start.zero_point, 2)
    rounded = join(fake_quantize(split(start.weight, G), grid))
    assert output_error(rounded - weight, moments) < 0.7 * output_error(plain - weight, moments)


def test_independent_inputs_need_no_compensation(weight: Tensor) -> None:
    """Where inputs do not depend on each other, the start weights are the weights."""
    start = compensate(weight, torch.eye(I) * 7, num_groups=G, fit=fit_asymmetric)
    torch.testing.assert_close(start.weight, weight, rtol=0, atol=1e-5)


def test_the_given_weight_is_left_alone(weight: Tensor, moments: Tensor) -> None:
    """Compensation works on a copy and gives the same every time."""
    before = weight.clone()
    first = compensate(weight, moments, num_groups=G, fit=fit_asymmetric)
    second = compensate(weight, moments, num_groups=G, fit=fit_asymmetric)
    assert torch.equal(weight, before)
    assert torch.equal(first.weight, second.weight)


def test_inputs_that_are_always_zero_do_no_harm(weight: Tensor, moments: Tensor) -> None:
    """A dead input leaves everything finite, and its weights count for nothing."""
    moments[3] = 0
    moments[:, 3] = 0
    start = compensate(weight, moments, num_groups=G, fit=fit_asymmetric)
    assert torch.isfinite(start.weight).all()
    assert start.weight[:, 3].abs().max() == 0


def test_searched_grids_are_never_worse(weight: Tensor) -> None:
    """The search includes the round-to-nearest grid, so its error is at most that one's."""
    importance = torch.rand(I, generator=torch.Generator().manual_seed(3))
    grouped = weight.unsqueeze(1)
    found = search_grid(weight, importance, fit_asymmetric)
    plain = fit_asymmetric(grouped)

    def error(grid: Grid) -> Tensor:
        return ((fake_quantize(grouped, grid) - grouped).square() * importance).sum(dim=-1)

    assert (error(found) <= error(plain)).all()
    assert (error(found) < error(plain)).any()


def test_the_factor_is_that_of_the_damped_inverse(moments: Tensor) -> None:
    """The upper factor squared is the inverse of the damped moments."""
    dead = torch.zeros(I, dtype=torch.bool)
    factor = inverse_factor(moments, dead)
    damped = moments + 0.01 * moments.diagonal().mean() * torch.eye(I)
    torch.testing.assert_close(factor.t() @ factor @ damped, torch.eye(I), rtol=0, atol=1e-3)
    assert torch.equal(factor, factor.triu())
