"""Promises of LoftQ's evenly spaced codebooks: the published levels and scales."""

from __future__ import annotations

import pytest
import torch

from engine.quant.even_levels import block_scale, even_levels, tensor_scale


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_levels_are_even_from_minus_one_to_one(bits: int) -> None:
    """2^bits levels at even distances, without one at zero."""
    levels = even_levels(bits)
    assert len(levels) == 2**bits
    assert (levels[0], levels[-1]) == (-1, 1)
    torch.testing.assert_close(levels.diff(), torch.full((2**bits - 1,), 2 / (2**bits - 1)))
    assert levels.abs().min() > 0


def test_a_block_ends_at_its_mean_plus_deviations() -> None:
    """The published scale, block mean + 2.5 standard deviations; a negative mean by magnitude."""
    block = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]]])
    expected = 2.5 + 2.5 * (5 / 3) ** 0.5
    torch.testing.assert_close(block_scale(block), torch.full((1, 2), expected))


def test_a_layer_ends_at_two_deviations_everywhere() -> None:
    """Every group of a layer has the same scale, that of all its weights."""
    grouped = torch.randn(6, 4, 8, generator=torch.Generator().manual_seed(0))
    scale = tensor_scale(grouped)
    torch.testing.assert_close(scale, (2 * grouped.std()).expand(6, 4))
