"""Rounding to a codebook: the NormalFloat levels of 2 to 8 bits, one scale per block.

A value is level[code] · scale, the scale the largest magnitude of its block, the levels from −1 to
1 with zero among them. What a block holds is expected to be normal, so levels lie where each is
nearest equally often. Start with `normal_levels`.

Source: QLoRA (Dettmers et al. 2023, arXiv:2305.14314, equation 4) in the form of its library, which
LoftQ (Li et al. 2023, arXiv:2310.08659) carries on to other widths. We differ in the search for the
nearest level: a binary search among the midpoints, where the published code compares with every
level at once and needs 2^bits times the memory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engine.quant.ranges import TINY

OFFSET = 0.9677083
"""Quantile of the outermost level: the mean of 1 − 1/32 and 1 − 1/30, as published."""


class CodebookGrid(NamedTuple):
    """Levels that all blocks share, and the scale of each.

    Attributes:
        levels: (2^bits,) float32, ascending, from −1 to 1.
        scale: (O, G) float32, ≥ 0.
    """

    levels: Tensor
    scale: Tensor


def normal_levels(bits: int) -> Tensor:
    """Return the (2^bits,) NormalFloat levels, ascending, float32.

    Half of them are positive, one is zero, the others negative.

    Args:
        bits: Width of the codes, from 2.
    """
    half = 1 << (bits - 1)
    positive = _quantiles(half + 1)
    negative = -_quantiles(half)
    levels = torch.cat([negative, torch.zeros(1, dtype=torch.float64), positive])
    return (levels / levels.max()).sort().values.float()


def absmax_scale(grouped: Tensor) -> Tensor:
    """Return the largest magnitude of each group of (O, G, g) weights, (O, G) float32."""
    return grouped.abs().amax(dim=-1).float()


def encode(grouped: Tensor, grid: CodebookGrid) -> Tensor:
    """Round weights to codes.

    Args:
        grouped: (O, G, g) weights of any float dtype.
        grid: Levels, and scales of (O, G).

    Returns:
        (O, G, g) uint8 codes of the nearest levels; ties go to the lower.
    """
    return _search(grouped, grid).to(torch.uint8)


def decode(codes: Tensor, grid: CodebookGrid) -> Tensor:
    """Turn (O, G, g) codes back into float32 weights."""
    return grid.levels[codes.int()].mul_(grid.scale.unsqueeze(-1))


def fake_quantize(grouped: Tensor, grid: CodebookGrid) -> Tensor:
    """Round (O, G, g) weights to the nearest levels; the result is float32 of the same shape."""
    return grid.levels[_search(grouped, grid)].mul_(grid.scale.unsqueeze(-1))


def _search(grouped: Tensor, grid: CodebookGrid) -> Tensor:
    """Return the int32 index of the nearest level of each weight."""
    midpoints = (grid.levels[1:] + grid.levels[:-1]) / 2
    scaled = grouped.float() / grid.scale.clamp(min=TINY).unsqueeze(-1)
    return torch.bucketize(scaled, midpoints, out_int32=True)


def _quantiles(count: int) -> Tensor:
    """Return count − 1 positive normal quantiles at even distances of probability, float64."""
    probabilities = torch.linspace(OFFSET, 0.5, count, dtype=torch.float64)[:-1]
    quantiles: Tensor = torch.special.ndtri(probabilities)
    return quantiles
