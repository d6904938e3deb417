"""Rounding to a codebook: the NormalFloat levels of 2 to 8 bits, one scale per block.

A value is level[code] · scale, the scale the largest magnitude of its block, the levels from −1 to
1 with zero among them. What a block holds is expected to be normal, so levels lie where each is
nearest equally often. Start with `normal_levels`.

Source: QLoRA (Dettmers et al. 2023, arXiv:2305.14314, equation 4) in the form of its library, which
LoftQ (Li et al. 2023, arXiv:2310.08659) carries on to other widths. We differ in the search for the
nearest level: a fine table says which midpoint, if any, a value must be compared with, where the
published code compares with every level at once and needs 2^bits times the memory. The codes are
those of a binary search among the midpoints, in a fifth of its time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engine.quant.ranges import TINY

OFFSET = 0.9677083
"""Quantile of the outermost level: the mean of 1 − 1/32 and 1 − 1/30, as published."""


BINS = 1 << 12
"""Bins of the table from −1 to 1; the levels of 8 bits lie ten bins apart or more."""


class Codebook(NamedTuple):
    """Levels, and a table that finds the nearest.

    Attributes:
        levels: (2^bits,) float32, ascending, from −1 to 1.
        counts: (BINS + 1,) int32, how many midpoints between levels lie in lower bins.
        limits: (BINS + 1,) float32, the midpoint in each bin; infinite where there is none.
    """

    levels: Tensor
    counts: Tensor
    limits: Tensor


class CodebookGrid(NamedTuple):
    """Levels that all blocks share, and the scale of each, (O, G) float32, ≥ 0."""

    book: Codebook
    scale: Tensor


def build_codebook(levels: Tensor) -> Codebook:
    """Build the table of ascending levels from −1 to 1.

    Raises:
        ValueError: When two midpoints fall into one bin.
    """
    midpoints = (levels[1:] + levels[:-1]) / 2
    bins = _bin_of(midpoints)
    if (bins.diff() == 0).any():
        raise ValueError("levels this near to each other need more bins")
    limits = torch.full((BINS + 1,), torch.inf, device=levels.device)
    limits[bins.long()] = midpoints
    every = torch.arange(BINS + 1, dtype=torch.int32, device=levels.device)
    return Codebook(levels, torch.searchsorted(bins, every, out_int32=True), limits)


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
    return _look_up(codes.int(), grid)


def fake_quantize(grouped: Tensor, grid: CodebookGrid) -> Tensor:
    """Round (O, G, g) weights to the nearest levels; the result is float32 of the same shape."""
    return _look_up(_search(grouped, grid), grid)


def _search(grouped: Tensor, grid: CodebookGrid) -> Tensor:
    """Return the int32 index of the nearest level of each weight.

    Exact: bins never fall as values rise, so only a midpoint in the same bin is in question.
    """
    scaled = grouped.float() / grid.scale.clamp(min=TINY).unsqueeze(-1)
    flat = scaled.view(-1).clamp_(-1, 1)
    bins = _bin_of(flat)
    codes = grid.book.counts.index_select(0, bins)
    codes += flat > grid.book.limits.index_select(0, bins)
    return codes.view(scaled.shape)


def _look_up(codes: Tensor, grid: CodebookGrid) -> Tensor:
    values = grid.book.levels.index_select(0, codes.view(-1))
    return values.view(codes.shape).mul_(grid.scale.unsqueeze(-1))


def _bin_of(values: Tensor) -> Tensor:
    """Return the int32 bin of values from −1 to 1; what is no number gets the first."""
    return (values * (BINS // 2)).add_(BINS // 2).to(torch.int32).clamp_(0, BINS)


def _quantiles(count: int) -> Tensor:
    """Return count − 1 positive normal quantiles at even distances of probability, float64."""
    probabilities = torch.linspace(OFFSET, 0.5, count, dtype=torch.float64)[:-1]
    quantiles: Tensor = torch.special.ndtri(probabilities)
    return quantiles
