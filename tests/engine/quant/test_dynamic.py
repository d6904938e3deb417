"""Promises of rounding what flows through a model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.quant.dynamic import min_max, round_min_max

BITS = range(2, 9)


def slow(values: Tensor, bits: int) -> Tensor:
    """Round (N, D) rows by the formula, a number at a time, in float64."""
    rows = []
    for row in values.double().tolist():
        step = max(map(abs, row)) / (2 ** (bits - 1) - 1)
        rows.append([round(value / step) * step if step else 0.0 for value in row])
    return torch.tensor(rows)


@pytest.mark.parametrize("bits", BITS)
def test_every_token_is_rounded_by_its_own_largest_value(bits: int) -> None:
    """Rounding along the last dimension is the published formula, row by row."""
    values = torch.randn(20, 32) * torch.logspace(-3, 3, 20).unsqueeze(1)
    assert torch.allclose(round_min_max(values, bits, (-1,)), slow(values, bits).float(), rtol=1e-5)


@pytest.mark.parametrize("bits", BITS)
def test_rounding_twice_changes_nothing(bits: int) -> None:
    """The largest value is a point of the grid, so what was rounded stays."""
    once = min_max(torch.randn(50, 16), bits, (-1,))
    assert torch.allclose(min_max(once, bits, (-1,)), once, atol=1e-6)
    assert all(len(row.unique()) <= 2**bits - 1 for row in once)


def test_dimensions_choose_what_shares_a_scale() -> None:
    """A scale over tokens and values is one for all of them; over values alone one per token."""
    values = torch.tensor([[[1.0, 0.1], [100.0, 10.0]]])
    assert min_max(values, 4, (-1, -2))[0, 0].eq(0).all()
    assert min_max(values, 4, (-1,))[0, 0, 0] == 1.0


def test_sixteen_bits_are_the_values_themselves() -> None:
    """At 16 bits the very same tensor comes back."""
    values = torch.randn(3, 4)
    assert round_min_max(values, 16, (-1,)) is values


def test_the_gradient_is_the_identity_for_large_values_too() -> None:
    """No gradient is lost at ±2, where the published code stops it though nothing is clipped."""
    values = (torch.randn(4, 8) * 10).requires_grad_()
    upstream = torch.randn(4, 8)
    round_min_max(values, 4, (-1,)).backward(upstream)
    assert torch.equal(values.grad, upstream)


def test_zeros_and_16_bit_floats_are_rounded_without_nan() -> None:
    """A token of zeros stays zero; the dtype is kept."""
    values = torch.zeros(2, 8, dtype=torch.bfloat16)
    values[1] = torch.arange(8)
    rounded = min_max(values, 3, (-1,))
    assert rounded.dtype == torch.bfloat16
    assert rounded[0].eq(0).all()
    assert rounded[1].isfinite().all()
