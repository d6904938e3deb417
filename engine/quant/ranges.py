"""From weights to trainable ranges, and from ranges to the step and zero point they stand for.

An asymmetric range is `low` and `extent` (its width); a symmetric one a signed `scale`, whose sign
says on which side the grid has its extra level; a narrow one the magnitude of both ends. All become
the same kind of `Grid`:
value = (code − zero_point) · step, code in 0 … top.
All tensors are float32 of shape (O, G); nothing is changed in place. Start with `asymmetric_grid`.

Source: NNCF's INT4_ASYM and INT4_SYM weight compression (round to nearest) and its TuneRange, which
we restate; the gradients that belong to these ranges stand in `engine.quant.projection`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = torch.finfo(torch.float32).eps
TINY = 1e-16


class Grid(NamedTuple):
    """A uniform grid per group; all of shape (O, G), float32.

    Attributes:
        lower: Lowest point, ≤ 0.
        width: From the lowest to the highest point, > 0.
        zero_point: Code of the value zero, integral.
        top: The highest code.
    """

    lower: Tensor
    width: Tensor
    zero_point: Tensor
    top: int

    @property
    def step(self) -> Tensor:
        """Distance between neighboring points, (O, G)."""
        return self.width / self.top

    def rows(self, rows: slice) -> Grid:
        """Return the grid of some rows, as views with a last dimension to broadcast over."""
        lower, width, zero_point = (
            part[rows].unsqueeze(-1) for part in (self.lower, self.width, self.zero_point)
        )
        return Grid(lower, width, zero_point, self.top)


def num_levels(bits: int) -> int:
    """Return the highest code, 2^bits − 1."""
    return (1 << bits) - 1


def asymmetric_range(grouped: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Fit `low` and `extent` to the smallest and largest weight of each group, and to zero.

    Args:
        grouped: (O, G, g) weights of any float dtype.
        bits: Width of the codes.

    Returns:
        low (O, G) ≤ 0 and extent (O, G) > 0, such that zero is a point of the grid.
    """
    top = num_levels(bits)
    smallest = grouped.amin(dim=-1).float().clamp(max=0)
    largest = grouped.amax(dim=-1).float().clamp(min=0)
    step = (largest - smallest) / top
    step = torch.where(step.abs() < EPSILON, torch.full_like(step, EPSILON), step)
    zero_point = torch.clamp(-torch.round(smallest / step), 0, top)
    return -zero_point * step, step * top


def symmetric_scale(grouped: Tensor, bits: int) -> Tensor:
    """Fit the signed scale to the largest magnitude, positive where that is a negative weight.

    Args:
        grouped: (O, G, g) weights of any float dtype.
        bits: Width of the codes.

    Returns:
        scale (O, G), never zero; step = |scale| / 2^(bits − 1).
    """
    smallest = grouped.amin(dim=-1).float()
    largest = grouped.amax(dim=-1).float()
    scale = torch.where(smallest.abs() >= largest.abs(), smallest.abs(), -largest)
    half = 1 << (bits - 1)
    tiny = torch.full_like(scale, EPSILON * half)
    return torch.where(scale.abs() < EPSILON * half, tiny, scale)


def asymmetric_grid(low: Tensor, extent: Tensor, bits: int) -> Grid:
    """Snap a range so that zero is exactly a point of the grid, growing it rather than shrinking.

    Where an end lies less than half a step beyond zero, it moves to zero. The published code
    leaves such a range alone and so shifts every weight of the group by that distance; fitted
    ranges have no such ends, trained ones do.

    Args:
        low: (O, G) lower end, of either sign.
        extent: (O, G) width; its magnitude counts.
        bits: Width of the codes.
    """
    top = num_levels(bits)
    # The order of operations is that of the published code, so that results agree to the bit.
    lower = low.clamp(max=0)
    upper = (extent.abs() + TINY + low).clamp(min=TINY)
    zero_point = torch.round(-lower * (top / (upper - lower)))
    # Two ways make zero a point of the grid: move the lower end or the upper. Take the wider, or
    # the only one that does where zero is nearest to an end.
    moved_lower = torch.where(zero_point < top, zero_point / (zero_point - top) * upper, lower)
    moved_upper = torch.where(zero_point > 0, (zero_point - top) / zero_point * lower, upper)
    is_wider = (upper - moved_lower) > (moved_upper - lower)
    is_lower = (zero_point == 0) | (is_wider & (zero_point < top))
    lower = torch.where(is_lower, moved_lower, lower)
    width = torch.where(is_lower, upper, moved_upper) - lower
    return Grid(lower, width, torch.round(-lower * (top / width)), top)


def symmetric_grid(scale: Tensor, bits: int) -> Grid:
    """Turn a signed scale (O, G) into its grid: the extra level lies opposite the sign."""
    half = 1 << (bits - 1)
    zero_point = torch.where(scale > 0, float(half), float(half - 1))
    step = scale.abs().clamp(min=TINY) / half
    top = num_levels(bits)
    return Grid(-zero_point * step, step * top, zero_point, top)


def narrow_scale(grouped: Tensor, bits: int) -> Tensor:
    """Fit the largest magnitude of each group, (O, G), never zero, to (O, G, g) weights."""
    scale = grouped.abs().amax(dim=-1).float()
    return scale.clamp(min=EPSILON * narrow_side(bits))


def narrow_grid(scale: Tensor, bits: int) -> Grid:
    """Turn a magnitude (O, G) into a grid with as many points above zero as below.

    One code stays unused: the levels are −(2^(b−1) − 1) … 2^(b−1) − 1 steps, as in LLM-QAT (Liu et
    al. 2023, arXiv:2305.17888) and QaLoF.
    """
    side = narrow_side(bits)
    end = scale.abs().clamp(min=TINY)
    return Grid(-end, 2 * end, torch.full_like(end, float(side)), 2 * side)


def narrow_side(bits: int) -> int:
    """Return how many points a narrow grid has on each side of zero."""
    return (1 << (bits - 1)) - 1
