"""Rounding what flows through a model: symmetric min-max, afresh for every pass, no parameters.

Source: LLM-QAT (Liu et al. 2023, arXiv:2305.17888, equation 2) and QaLoF. Their code stops the
gradient of values beyond ±2, although nothing is clipped there; here it is the identity
everywhere, since the largest value is a point of the grid. Start with `round_min_max`.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.quant.ranges import narrow_side
from engine.specs.quantizer import BITS_UNQUANTIZED

TINY = 1e-30


def round_min_max(values: Tensor, bits: int, dims: tuple[int, ...]) -> Tensor:
    """Round values to ±(2^(bits − 1) − 1) steps of a scale of their own.

    Args:
        values: Of any shape and float dtype; computed in float32.
        bits: Width of the codes; 16 returns `values` themselves.
        dims: Dimensions whose values share a scale: (-1,) is one scale per token of (..., T, D).

    Returns:
        The same shape and dtype; the gradient is the identity.
    """
    if bits == BITS_UNQUANTIZED:
        return values
    rounded: Tensor = _round_min_max(values, bits, dims)
    return rounded


def min_max(values: Tensor, bits: int, dims: tuple[int, ...]) -> Tensor:
    """Round without a gradient; arguments and result as for `round_min_max`."""
    side = narrow_side(bits)
    largest = values.abs().amax(dim=dims, keepdim=True).float()
    per_step = side / largest.clamp(min=TINY)
    return (values * per_step).round_().div_(per_step).to(values.dtype)


class _RoundMinMax(torch.autograd.Function):
    """Straight through; keeps nothing for the backward pass."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, bits: int, dims: tuple[int, ...]) -> Tensor:
        del ctx
        return min_max(values, bits, dims)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        del ctx
        return grad_outputs, None, None


_round_min_max = cast("Any", _RoundMinMax.apply)
