"""Promises of codebooks: the published tables, the nearest level, zero exactly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.quant.normal_float import (
    BINS,
    CodebookGrid,
    absmax_scale,
    build_codebook,
    decode,
    encode,
    fake_quantize,
    normal_levels,
)

BITS = range(2, 9)
# NF4 as QLoRA's appendix E prints it (Dettmers et al. 2023).
NF4 = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]
# Computed once with the published code of LoftQ.
NF2 = [-1.0, 0.0, 0.3379, 1.0]
NF3 = [-1.0, -0.4786, -0.2171, 0.0, 0.1609, 0.3379, 0.5626, 1.0]
numbers = st.floats(-1e4, 1e4, width=32)


def make_grid(bits: int, *, rows: int = 6, groups: int = 3, size: int = 64) -> tuple:
    """Return (O, G, g) normal weights and the codebook fitted to them."""
    grouped = torch.randn(rows, groups, size, generator=torch.Generator().manual_seed(bits))
    return grouped, CodebookGrid(build_codebook(normal_levels(bits)), absmax_scale(grouped))


def nearest(grouped: Tensor, grid: CodebookGrid) -> Tensor:
    """Return every weight's nearest level by comparing with all of them: the published way."""
    scaled = grouped / grid.scale.unsqueeze(-1)
    return (scaled.unsqueeze(-1) - grid.book.levels).abs().argmin(dim=-1)


def test_four_bits_are_the_published_table() -> None:
    """NF4 is QLoRA's table."""
    torch.testing.assert_close(normal_levels(4), torch.tensor(NF4), rtol=0, atol=2e-7)


@pytest.mark.parametrize(("bits", "expected"), [(2, NF2), (3, NF3)])
def test_fewer_bits_are_the_tables_of_the_published_code(bits: int, expected: list) -> None:
    """NF2 and NF3 are those that LoftQ's code makes."""
    torch.testing.assert_close(normal_levels(bits), torch.tensor(expected), rtol=0, atol=5e-5)


@pytest.mark.parametrize("bits", BITS)
def test_levels_rise_from_minus_one_to_one_through_zero(bits: int) -> None:
    """Every width has 2^bits distinct levels, half of them positive, and zero."""
    levels = normal_levels(bits)
    assert len(levels) == 2**bits
    assert (levels.diff() > 0).all()
    assert (levels[0].item(), levels[-1].item()) == (-1.0, 1.0)
    assert (levels == 0).sum() == 1
    assert (levels > 0).sum() == 2 ** (bits - 1)


@pytest.mark.parametrize("bits", BITS)
def test_a_code_is_that_of_the_nearest_level(bits: int) -> None:
    """The table finds what comparing with every level finds."""
    grouped, grid = make_grid(bits)
    codes = encode(grouped, grid)
    assert codes.dtype == torch.uint8
    assert torch.equal(codes.long(), nearest(grouped, grid))


@pytest.mark.parametrize("bits", BITS)
def test_the_table_is_exact_around_every_midpoint(bits: int) -> None:
    """On midpoints, on bin edges and a rounding beside them, codes are a binary search's."""
    levels = normal_levels(bits)
    midpoints = (levels[1:] + levels[:-1]) / 2
    edges = torch.linspace(-1, 1, BINS + 1)
    values = torch.cat([levels, midpoints, edges])
    values = torch.cat([values, values.nextafter(values + 1), values.nextafter(values - 1)])
    grid = CodebookGrid(build_codebook(levels), torch.ones(1, 1))
    codes = encode(values.view(1, 1, -1), grid).view(-1)
    assert torch.equal(codes.long(), torch.bucketize(values, midpoints))


def test_what_lies_beyond_the_scale_is_clipped() -> None:
    """A value however far outside, as an adapter may make it, gets an outermost level."""
    grid = CodebookGrid(build_codebook(normal_levels(4)), torch.tensor([[1e-20]]))
    codes = encode(torch.tensor([[[1e30, -1e30, torch.inf]]]), grid)
    assert codes.flatten().tolist() == [15, 0, 15]


@pytest.mark.parametrize("bits", BITS)
def test_decoding_is_rounding(bits: int) -> None:
    """Going through codes and rounding at once give the same bits; rounding twice changes none."""
    grouped, grid = make_grid(bits)
    rounded = fake_quantize(grouped, grid)
    assert torch.equal(decode(encode(grouped, grid), grid), rounded)
    again = CodebookGrid(grid.book, absmax_scale(rounded))
    assert torch.equal(fake_quantize(rounded, again), rounded)


@given(row=st.lists(numbers, min_size=1, max_size=16), bits=st.integers(2, 8))
def test_zero_stays_zero(row: list[float], bits: int) -> None:
    """Whatever is in its block, a zero is rounded to zero, and a block of zeros to zeros."""
    grouped = torch.tensor([[[0.0, *row]]])
    grid = CodebookGrid(build_codebook(normal_levels(bits)), absmax_scale(grouped))
    rounded = fake_quantize(grouped, grid)
    assert rounded[0, 0, 0] == 0
    assert torch.isfinite(rounded).all()
    blank = torch.zeros(1, 1, 8)
    none = CodebookGrid(grid.book, absmax_scale(blank))
    assert torch.equal(fake_quantize(blank, none), blank)
