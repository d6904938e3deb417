"""Compensation: the output changes less, and nothing is done where nothing can be gained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.initialize.compensation import compensate
from engine.initialize.decomposition import Fitting
from engine.initialize.hessian import DAMPING, LayerHessian
from engine.initialize.range_search import kind_of, search_ranges
from engine.layers.codebook_scales import WeightRanges, build_ranges
from engine.quant.grouping import split
from engine.specs import IntegerQuantizer, LoftQUniformQuantizer, NormalFloatQuantizer

O, I, G, BITS = 24, 128, 2, 2  # noqa: E741  shape letters of the engine
GRIDS: dict[str, Any] = {
    "asymmetric": IntegerQuantizer(),
    "symmetric": IntegerQuantizer(symmetry="symmetric"),
    "normal-float": NormalFloatQuantizer(),
    "uniform": LoftQUniformQuantizer(),
}
every_grid = pytest.mark.parametrize("grid", GRIDS)


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


def ranges_of(grid: str, weight: Tensor) -> WeightRanges:
    return build_ranges(split(weight, G), GRIDS[grid], BITS)


def compensated(grid: str, weight: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is to be rounded and, by the layer's own ranges, rounded."""
    ranges = ranges_of(grid, weight)
    kind = kind_of(ranges)
    start, parts = compensate(weight, LayerHessian(moments), num_groups=G, kind=kind)
    kind.take(parts)
    return start, ranges.absorb(start, None, out=torch.empty_like(start))


def output_error(error: Tensor, moments: Tensor) -> float:
    return float((error @ moments * error).sum())


@every_grid
def test_the_output_changes_less_than_with_rounding(
    grid: str, weight: Tensor, moments: Tensor
) -> None:
    """Compensated start weights round to a layer whose output is nearer to the original's."""
    plain = ranges_of(grid, weight).absorb(weight, None, out=torch.empty_like(weight))
    _, rounded = compensated(grid, weight, moments)
    assert output_error(rounded - weight, moments) < 0.7 * output_error(plain - weight, moments)


@every_grid
def test_columns_are_rounded_as_the_layer_rounds(grid: str, weight: Tensor) -> None:
    """Column by column with the parts gives what the layer's own rounding gives."""
    ranges = ranges_of(grid, weight)
    kind = kind_of(ranges)
    group = split(weight, G)[:, :1]
    parts = search_ranges(kind, group)
    round_column = kind.column_rounder(parts)
    one_by_one = torch.stack([round_column(column) for column in group[:, 0].t()], dim=-1)
    torch.testing.assert_close(
        one_by_one, kind.fake_quantize(group, parts)[:, 0], rtol=0, atol=1e-5
    )


@every_grid
def test_independent_inputs_need_no_compensation(grid: str, weight: Tensor) -> None:
    """Where inputs do not depend on each other, the start weights are the weights."""
    start, _ = compensated(grid, weight, torch.eye(I) * 7)
    torch.testing.assert_close(start, weight, rtol=0, atol=1e-5)


def test_the_given_weight_is_left_alone(weight: Tensor, moments: Tensor) -> None:
    """Compensation works on a copy and gives the same every time."""
    before = weight.clone()
    first, _ = compensated("asymmetric", weight, moments)
    second, _ = compensated("asymmetric", weight, moments)
    assert torch.equal(weight, before)
    assert torch.equal(first, second)


@every_grid
def test_inputs_that_are_always_zero_do_no_harm(grid: str, weight: Tensor, moments: Tensor) -> None:
    """A dead input leaves everything finite, and its weights count for nothing."""
    moments[3] = 0
    moments[:, 3] = 0
    start, rounded = compensated(grid, weight, moments)
    assert torch.isfinite(start).all()
    assert torch.isfinite(rounded).all()
    assert start[:, 3].abs().max() == 0


@pytest.mark.parametrize("zeroed", [True, False])
def test_an_adapter_does_not_repair_what_nothing_reads(
    weight: Tensor, moments: Tensor, zeroed: bool
) -> None:
    """With a quarter of the inputs dead, the pair leaves what it leaves without those columns."""
    dead = torch.arange(I) % 4 == 0
    moments[dead] = 0
    moments[:, dead] = 0
    hessian = LayerHessian(moments)
    residual = weight - weight.round()
    if zeroed:
        residual[:, dead] = weight[:, dead]
    pair = Fitting(4, generator=torch.Generator().manual_seed(0), hessian=hessian)(residual)
    kept = residual[:, ~dead]
    reached = moments[~dead][:, ~dead]
    alone = Fitting(4, generator=torch.Generator().manual_seed(0), hessian=LayerHessian(reached))(
        kept
    )
    expected = output_error(kept - alone.left @ alone.right, reached)
    assert output_error(residual - pair.left @ pair.right, moments) <= 1.03 * expected


def test_one_scale_for_a_layer_stays_one(weight: Tensor, moments: Tensor) -> None:
    """However ranges are found, every group of a per-tensor grid has the same scale."""
    ranges = build_ranges(split(weight, 1), LoftQUniformQuantizer(granularity="tensor"), BITS)
    kind = kind_of(ranges)
    (searched,) = search_ranges(kind, split(weight, 1))
    _, (found,) = compensate(weight, LayerHessian(moments), num_groups=1, kind=kind)
    assert len(searched.unique()) == len(found.unique()) == 1


@every_grid
def test_searched_ranges_are_never_worse(grid: str, weight: Tensor) -> None:
    """The search includes the plain ranges, so its error is at most theirs, in every group."""
    importance = torch.rand(G, I // G, generator=torch.Generator().manual_seed(3))
    kind = kind_of(ranges_of(grid, weight))
    grouped = split(weight, G)

    def error(parts: tuple[Tensor, ...]) -> Tensor:
        return ((kind.fake_quantize(grouped, parts) - grouped).square() * importance).sum(dim=-1)

    found, plain = error(search_ranges(kind, grouped, importance)), error(kind.fit(grouped))
    assert (found <= plain).all()
    assert (found < plain).any()


def test_the_factors_are_those_of_the_damped_moments(moments: Tensor) -> None:
    """L·Lᵀ is H damped, the upper factor squared its inverse; H has a mean of 1 on its diagonal."""
    hessian = LayerHessian(moments)
    damped = moments / moments.diagonal().mean() + DAMPING * torch.eye(I)
    torch.testing.assert_close(hessian.factor @ hessian.factor.t(), damped, rtol=0, atol=1e-4)
    upper = hessian.inverse_factor
    torch.testing.assert_close(upper.t() @ upper @ damped, torch.eye(I), rtol=0, atol=1e-3)
    assert torch.equal(upper, upper.triu())
    assert torch.equal(hessian.factor, hessian.factor.tril())
