"""Promises of the fast path: the numbers and gradients of the slow one, projected once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.layers.weight_ranges import (
    AsymmetricRanges,
    NarrowRanges,
    SymmetricRanges,
    UniformRanges,
)
from engine.quant import projection
from engine.quant.grouping import join, split
from engine.quant.projection import LowRank, absorb, project
from engine.quant.uniform import fake_quantize, fake_quantize_reference
from tests.tolerances import assert_near

ROWS, COLUMNS, GROUP_SIZE, RANK = 6, 48, 16, 3
GROUPS = COLUMNS // GROUP_SIZE
BITS = 3
every_kind = pytest.mark.parametrize("kind", [AsymmetricRanges, SymmetricRanges, NarrowRanges])


def make_ranges(kind: type[UniformRanges], weight: Tensor) -> UniformRanges:
    """Fit ranges and shrink them, so that weights are clipped on both sides."""
    ranges = kind(split(weight, GROUPS), BITS)
    with torch.no_grad():
        for parameter in ranges.parameters():
            parameter.mul_(0.6)
    return ranges


def make_case(kind: type[UniformRanges]) -> tuple[Tensor, LowRank, UniformRanges]:
    """Return weight, adapter and ranges with both signs of scale and clipping on both sides."""
    weight = torch.randn(ROWS, COLUMNS)
    pair = LowRank(torch.randn(RANK, COLUMNS) * 0.1, torch.randn(ROWS, RANK), 0.7)
    ranges = make_ranges(kind, weight)
    whole = split(weight + pair.scaling * pair.b @ pair.a, GROUPS)
    lower, width, _, _ = ranges.grid().rows(slice(None))
    assert (whole < lower).any(dim=-1).float().mean() > 0.5
    assert (whole > lower + width).any(dim=-1).float().mean() > 0.5
    if isinstance(ranges, SymmetricRanges):
        assert (ranges.scale > 0).any()
        assert (ranges.scale < 0).any()
    return weight, pair, ranges


@pytest.fixture(params=[1, 40, 1 << 20], ids=["row by row", "few rows", "all rows"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work through the weight in blocks of every kind."""
    monkeypatch.setattr(projection, "BLOCK_WEIGHTS", request.param)


@every_kind
@pytest.mark.usefixtures("_blocks")
def test_absorbing_is_rounding_the_sum(kind: type[UniformRanges]) -> None:
    """`absorb` gives FQ(W + s·B·A), overwrites all of `out` and leaves the weight alone."""
    weight, pair, ranges = make_case(kind)
    before = weight.clone()
    out = torch.full_like(weight, torch.nan)
    result = absorb(weight, pair, ranges.grid(), out=out)
    whole = weight + pair.scaling * pair.b @ pair.a
    assert result is out
    assert_near(result, join(fake_quantize(split(whole, GROUPS), ranges.grid())))
    assert torch.equal(weight, before)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_absorbing_nothing_is_rounding_to_the_bit(
    kind: type[UniformRanges], dtype: torch.dtype
) -> None:
    """Without an adapter the result is `fake_quantize` bit for bit, cast to the wanted dtype."""
    weight = torch.randn(ROWS, COLUMNS).to(dtype)
    grid = make_ranges(kind, weight).grid()
    result = absorb(weight, None, grid, out=torch.empty_like(weight))
    assert torch.equal(result, join(fake_quantize(split(weight, GROUPS), grid)).to(dtype))


@every_kind
@pytest.mark.usefixtures("_blocks")
def test_projected_gradients_are_those_of_autograd(kind: type[UniformRanges]) -> None:
    """Gradients of weight and ranges equal autograd through the slow form, clipped parts too."""
    weight, pair, ranges = make_case(kind)
    whole = (weight + pair.scaling * pair.b @ pair.a).requires_grad_()
    upstream = torch.randn(ROWS, COLUMNS)
    slow = fake_quantize_reference(split(whole, GROUPS), *ranges.ends(), ranges.top)
    join(slow).backward(upstream)
    expected = take_gradients(ranges)
    gradient = upstream.clone()
    ranges.add_gradients(project(gradient, weight, pair, ranges.grid()), ranges.grid())
    assert_near(gradient, whole.grad)
    for name, value in take_gradients(ranges).items():
        assert expected[name].abs().min() > 0
        assert_near(value, expected[name])


@every_kind
def test_gradients_of_fitted_ranges_are_those_of_autograd(kind: type[UniformRanges]) -> None:
    """The same holds for fresh ranges, where the largest weight lies exactly on an end."""
    # Weights on a coarse grid and powers of two: every comparison with an end is exact.
    weight = torch.randint(-4, 4, (ROWS, COLUMNS)) / 8 + 1 / 64
    weight[:, ::GROUP_SIZE] = -0.5
    weight[1::2, ::GROUP_SIZE] = 0.5
    ranges = kind(split(weight, GROUPS), BITS)
    if kind is AsymmetricRanges:
        ranges.set_grid(SymmetricRanges(split(weight, GROUPS), BITS).grid())
    whole = weight.clone().requires_grad_()
    upstream = torch.randn(ROWS, COLUMNS)
    join(fake_quantize_reference(split(whole, GROUPS), *ranges.ends(), ranges.top)).backward(
        upstream
    )
    expected = take_gradients(ranges)
    gradient = upstream.clone()
    ranges.add_gradients(project(gradient, weight, None, ranges.grid()), ranges.grid())
    assert_near(gradient, whole.grad)
    for name, value in take_gradients(ranges).items():
        assert_near(value, expected[name])


def take_gradients(ranges: UniformRanges) -> dict[str, Tensor]:
    """Return the gradients of ranges by name, and clear them."""
    found = {name: value.grad for name, value in ranges.named_parameters()}
    ranges.zero_grad()
    return found


def moved_ends(ranges: UniformRanges, name: str, change: float) -> tuple[Tensor, Tensor]:
    """Return lower end and width in float64 after a change of one parameter, zero point held."""
    grid = ranges.grid()
    lower, width = grid.lower.double(), grid.width.double()
    value = getattr(ranges, name).detach().double()
    if name == "scale":
        levels = grid.top / 2 if isinstance(ranges, NarrowRanges) else 2 ** (BITS - 1)
        step = (value + change).abs() / levels
        return -grid.zero_point * step, grid.top * step
    if name == "low":
        return lower + change, width
    return lower, width + (value + change).abs() - value.abs()


def held_rounding(weight: Tensor, ranges: UniformRanges, name: str, change: float) -> Tensor:
    """Round (O, G, g) float64 weights after a change, with residuals and clipping as before it."""
    lower, width, _, _ = ranges.grid().rows(slice(None))
    steps = (weight - lower.double()) / (width.double() / ranges.grid().top)
    lower, width = (end.unsqueeze(-1).expand_as(weight) for end in moved_ends(ranges, name, change))
    inside = weight + (steps.round() - steps) * width / ranges.grid().top
    return torch.where(
        steps < 0, lower, torch.where(steps > ranges.grid().top, lower + width, inside)
    )


@every_kind
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_of_ranges_are_finite_differences(kind: type[UniformRanges], sign: float) -> None:
    """Range gradients equal central differences in float64, for groups of either sign."""
    weight = torch.randn(ROWS, COLUMNS)
    weight[:, ::GROUP_SIZE] = -5.0 * sign  # the largest weight decides the sign of the scale
    ranges = make_ranges(kind, weight)
    if isinstance(ranges, SymmetricRanges):
        assert (ranges.scale.sign() == sign).all()
    else:
        next(reversed(tuple(ranges.parameters()))).data.mul_(sign)  # its magnitude counts
    upstream = torch.randn(ROWS, COLUMNS)
    ranges.add_gradients(project(upstream.clone(), weight, None, ranges.grid()), ranges.grid())
    grouped, factor = (split(tensor, GROUPS).double() for tensor in (weight, upstream))
    for name, gradient in take_gradients(ranges).items():
        above, below = (
            (held_rounding(grouped, ranges, name, change) * factor).sum(dim=-1)
            for change in (1e-6, -1e-6)
        )
        assert_near(gradient, (above - below) / 2e-6)


@every_kind
def test_accumulating_then_projecting_once_is_exact(kind: type[UniformRanges]) -> None:
    """Projecting the sum of four gradients gives the sum of four projections."""
    weight, pair, ranges = make_case(kind)
    grid = ranges.grid()
    parts = torch.randn(4, ROWS, COLUMNS)
    dense = torch.zeros(ROWS, COLUMNS)
    for part in parts:
        gradient = part.clone()
        ranges.add_gradients(project(gradient, weight, pair, grid), grid)
        dense += gradient
    expected = take_gradients(ranges)
    total = parts.sum(dim=0)
    ranges.add_gradients(project(total, weight, pair, grid), grid)
    assert_near(total, dense)
    for name, value in take_gradients(ranges).items():
        assert_near(value, expected[name])
