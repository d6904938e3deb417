"""Promises of rounding to the grid: exact zero, half a step, the published formulas bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.quant.grouping import count_groups, join, split
from engine.quant.ranges import (
    Grid,
    asymmetric_grid,
    asymmetric_range,
    narrow_grid,
    narrow_scale,
    symmetric_grid,
    symmetric_scale,
)
from engine.quant.uniform import decode, encode, fake_quantize, fake_quantize_reference
from tests.engine.quant import published

BITS = range(2, 9)
GROUP_SIZE = 64
Fit = Callable[[Tensor, int], Grid]


def fit_asymmetric(grouped: Tensor, bits: int) -> Grid:
    """Fit an asymmetric grid to (O, G, g) weights."""
    return asymmetric_grid(*asymmetric_range(grouped, bits), bits)


def fit_symmetric(grouped: Tensor, bits: int) -> Grid:
    """Fit a symmetric grid to (O, G, g) weights."""
    return symmetric_grid(symmetric_scale(grouped, bits), bits)


def fit_narrow(grouped: Tensor, bits: int) -> Grid:
    """Fit a narrow grid to (O, G, g) weights."""
    return narrow_grid(narrow_scale(grouped, bits), bits)


every_fit = pytest.mark.parametrize("fit", [fit_asymmetric, fit_symmetric, fit_narrow])
numbers = st.floats(-1e4, 1e4, width=32)
groups = st.lists(numbers, min_size=1, max_size=16).map(lambda row: torch.tensor([[row]]))


@given(low=numbers, extent=numbers, bits=st.integers(2, 8))
def test_zero_is_a_point_of_every_asymmetric_grid(low: float, extent: float, bits: int) -> None:
    """Whatever range training arrives at, zero is rounded to exactly zero."""
    grid = asymmetric_grid(torch.tensor([[low]]), torch.tensor([[extent]]), bits)
    assert fake_quantize(torch.zeros(1, 1, 1), grid).item() == 0.0
    assert 0 <= grid.zero_point.item() <= grid.top
    assert grid.width.item() > 0


@given(scale=numbers, bits=st.integers(2, 8))
def test_zero_is_a_point_of_every_symmetric_grid(scale: float, bits: int) -> None:
    """Whatever scale training arrives at, zero and negative ones too, zero stays zero."""
    grid = symmetric_grid(torch.tensor([[scale]]), bits)
    assert fake_quantize(torch.zeros(1, 1, 1), grid).item() == 0.0
    assert torch.isfinite(fake_quantize(torch.ones(1, 1, 1), grid)).all()


@given(grouped=groups, bits=st.integers(2, 8))
def test_codes_stay_in_bounds(grouped: Tensor, bits: int) -> None:
    """Codes lie in 0 … 2^bits − 1 also for weights far outside the range."""
    for fit in (fit_asymmetric, fit_symmetric):
        codes = encode(grouped * 3 - 1, fit(grouped, bits))
        assert codes.dtype == torch.uint8
        assert codes.max() <= 2**bits - 1


@given(grouped=groups, bits=st.integers(2, 8))
def test_rounding_moves_a_weight_by_half_a_step_at_most(grouped: Tensor, bits: int) -> None:
    """Inside a fitted asymmetric range no weight moves by more than half a step."""
    grid = fit_asymmetric(grouped, bits)
    error = (fake_quantize(grouped, grid) - grouped).abs().amax()
    # the end that was moved to put zero on the grid may cut half a step off the range
    assert error <= 0.5 * grid.step.item() * (1 + 1e-4) + 1e-30


@given(grouped=groups, bits=st.integers(2, 8))
def test_symmetric_rounding_moves_a_weight_by_a_step_at_most(grouped: Tensor, bits: int) -> None:
    """The side without the extra level is cut by at most one step, everything else by half."""
    grid = fit_symmetric(grouped, bits)
    error = (fake_quantize(grouped, grid) - grouped).abs()
    upper = grid.lower + grid.width
    inside = (grouped >= grid.lower.unsqueeze(-1)) & (grouped <= upper.unsqueeze(-1))
    assert error.amax() <= grid.step.item() * (1 + 1e-4)
    assert (error[inside] <= 0.5 * grid.step.item() * (1 + 1e-4)).all()


@every_fit
@pytest.mark.parametrize("bits", BITS)
def test_rounding_twice_changes_nothing(fit: Fit, bits: int) -> None:
    """Rounded weights are points of the grid: rounding them again gives the same bits."""
    grouped = torch.randn(8, 4, GROUP_SIZE)
    grid = fit(grouped, bits)
    once = fake_quantize(grouped, grid)
    assert torch.equal(fake_quantize(once, grid), once)
    assert torch.equal(encode(once, grid), encode(grouped, grid))


@every_fit
@pytest.mark.parametrize("bits", BITS)
def test_every_code_comes_back_as_itself(fit: Fit, bits: int) -> None:
    """Decoding and encoding again is the identity on all codes."""
    grid = fit(torch.randn(3, 2, GROUP_SIZE), bits)
    codes = torch.arange(grid.top + 1, dtype=torch.uint8).expand(3, 2, -1)
    assert torch.equal(encode(decode(codes, grid), grid), codes)


@every_fit
def test_more_bits_never_round_worse(fit: Fit) -> None:
    """The mean squared error of real-looking weights falls with every bit."""
    grouped = torch.randn(16, 4, GROUP_SIZE)
    errors = [
        (fake_quantize(grouped, fit(grouped, bits)) - grouped).square().mean().item()
        for bits in BITS
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 500


@every_fit
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e-20, -3e-9])
def test_groups_of_equal_weights_survive(fit: Fit, bits: int, value: float) -> None:
    """A group without spread is rounded to itself within a step, never to a non-number."""
    grouped = torch.full((1, 1, GROUP_SIZE), value)
    grid = fit(grouped, bits)
    result = fake_quantize(grouped, grid)
    assert torch.isfinite(result).all()
    assert (result - grouped).abs().max() <= grid.step.item()


@pytest.mark.parametrize("outlier", [100.0, -100.0])
@pytest.mark.parametrize("bits", BITS)
def test_an_outlier_keeps_its_size_and_spares_other_groups(outlier: float, bits: int) -> None:
    """One huge weight is kept to half a step, and groups beside it are rounded as without it."""
    grouped = torch.randn(1, 2, GROUP_SIZE) * 0.1
    alone = fake_quantize(grouped, fit_asymmetric(grouped, bits))
    grouped[0, 0, 5] = outlier
    result = fake_quantize(grouped, fit_asymmetric(grouped, bits))
    step = 100.2 / (2**bits - 1)
    assert abs(result[0, 0, 5].item() - outlier) <= step / 2
    assert torch.equal(result[0, 1], alone[0, 1])


def awkward_weights() -> dict[str, Tensor]:
    """Return named (O, I) weights of every kind that rounding may trip over."""
    generator = torch.Generator().manual_seed(3)
    normal = torch.randn(6, 4 * GROUP_SIZE, generator=generator) * 0.05
    outliers = normal.clone()
    outliers[:, ::GROUP_SIZE] = 7.0
    tiny = normal * 1e-9
    tiny[2] = 0.0
    halves = torch.randint(-15, 16, (6, 4 * GROUP_SIZE), generator=generator) / 2
    halves[:, ::GROUP_SIZE], halves[:, 1::GROUP_SIZE] = -8.0, 7.0
    return {
        "normal": normal,
        "positive": normal.abs() + 0.01,
        "negative": -normal.abs() - 0.01,
        "outliers": outliers,
        "tiny or zero": tiny,
        "constant": torch.full((2, GROUP_SIZE), 0.3),
        "exact ties": halves * 0.125,
        "negated ties": -halves * 0.125,
        "bfloat16": normal.bfloat16().float(),
    }


@pytest.mark.parametrize("name", awkward_weights())
def test_int4_asymmetric_agrees_with_the_published_formulas_to_the_bit(name: str) -> None:
    """INT4_ASYM at group 64 is NNCF's, bit for bit, exact ties included."""
    weight = awkward_weights()[name]
    grouped = split(weight, count_groups(weight.shape[1], GROUP_SIZE))
    result = join(fake_quantize(grouped, fit_asymmetric(grouped, 4)))
    assert torch.equal(result, published.fake_quantize_asymmetric(weight, GROUP_SIZE))


@pytest.mark.parametrize("name", awkward_weights())
def test_int4_symmetric_agrees_with_the_published_formulas_to_the_bit(name: str) -> None:
    """INT4_SYM at group 64 is NNCF's, bit for bit, exact ties included."""
    weight = awkward_weights()[name]
    grouped = split(weight, count_groups(weight.shape[1], GROUP_SIZE))
    result = join(fake_quantize(grouped, fit_symmetric(grouped, 4)))
    assert torch.equal(result, published.fake_quantize_symmetric(weight, GROUP_SIZE))


@pytest.mark.parametrize("sign", [1, -1])
def test_ties_were_really_tried(sign: int) -> None:
    """The weights meant to lie half-way do: a fifth or more of them are exactly half a step off."""
    weight = awkward_weights()["exact ties"] * sign
    grouped = split(weight, weight.shape[1] // GROUP_SIZE)
    error = (fake_quantize(grouped, fit_symmetric(grouped, 4)) - grouped).abs()
    assert (error == 0.0625).float().mean() > 0.2


@every_fit
@pytest.mark.parametrize("bits", BITS)
def test_the_differentiable_form_gives_the_same_numbers(fit: Fit, bits: int) -> None:
    """`fake_quantize_reference` differs from the plain form by rounding errors alone."""
    grouped = torch.randn(4, 2, GROUP_SIZE)
    grid = fit(grouped, bits)
    slow = fake_quantize_reference(grouped, grid.lower, grid.width, grid.top)
    distance = (slow - fake_quantize(grouped, grid)).abs() / grid.step.unsqueeze(-1)
    assert distance.max() < 1e-4


def test_weights_at_the_very_ends_are_inside() -> None:
    """A weight exactly on the lowest or highest point keeps its whole gradient."""
    grouped = torch.tensor([[[-1.0, 0.2, 2.0]]], requires_grad=True)
    lower = torch.tensor([[-1.0]], requires_grad=True)
    width = torch.tensor([[3.0]], requires_grad=True)
    fake_quantize_reference(grouped, lower, width, 3).sum().backward()
    assert torch.equal(grouped.grad, torch.ones(1, 1, 3))
    assert lower.grad.item() == 0.0
