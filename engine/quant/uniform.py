"""Rounding to a uniform grid: the plain forms, slow and easy to check.

`fake_quantize` rounds and returns to floats, `encode` and `decode` go through integer codes, and
`fake_quantize_reference` is the differentiable slow reference of the fast path in
`engine.quant.projection`. Start with `fake_quantize`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.quant.ranges import Grid


def encode(grouped: Tensor, grid: Grid) -> Tensor:
    """Round weights to codes.

    Args:
        grouped: (O, G, g) weights.
        grid: (O, G) each.

    Returns:
        (O, G, g) uint8 codes in 0 … top; ties go to the code an even distance from zero's.
    """
    lower, width, zero_point, _ = grid.rows(slice(None))
    scaled = ((grouped.float() - lower) * (grid.top / width)).clamp(0, grid.top)
    return ((scaled - zero_point).round() + zero_point).to(torch.uint8)


def decode(codes: Tensor, grid: Grid) -> Tensor:
    """Turn (O, G, g) codes back into float32 weights."""
    _, width, zero_point, _ = grid.rows(slice(None))
    return (codes.float() - zero_point) / (grid.top / width)


def fake_quantize(grouped: Tensor, grid: Grid) -> Tensor:
    """Round (O, G, g) weights to the grid; the result is float32 of the same shape."""
    return decode(encode(grouped, grid), grid)


def fake_quantize_reference(grouped: Tensor, lower: Tensor, width: Tensor, top: int) -> Tensor:
    """Round with gradients by autograd, straight through the rounding alone.

    Args:
        grouped: (O, G, g) weights, any float dtype; the result has the same.
        lower: (O, G) lower end of the grid, −zero_point · step.
        width: (O, G) width of the grid, top · step.
        top: The highest code.

    Source: the gradient with respect to the width is that of LSQ (Esser et al. 2020,
    arXiv:1902.08153, equation 3) inside the range, the clipped end outside.
    """
    lower, width = lower.unsqueeze(-1), width.unsqueeze(-1)
    step = width / top
    # clamp, unlike minimum and maximum, leaves a weight exactly on an end its whole gradient
    steps = torch.clamp(grouped - lower, torch.zeros_like(width), width) / step
    rounded = steps + (steps.round() - steps).detach()
    return lower + rounded * step
