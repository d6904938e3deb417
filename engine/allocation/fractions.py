"""A fraction of bits as whole widths of layers, by the published rule: the first blocks get more.

Nothing is measured here; `mean_budget` decides by scores. Names and sizes alone, so that an
estimate and a run come to the same widths. Start with `spread_widths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from engine.errors import SpecError

FIELD = "quantizer.bits"
Widths = dict[str, int]
_PAIRS = ((2, 4), (4, 8))
_LAST_STACKS = ("decoder",)


class Block(NamedTuple):
    """A transformer block; sorts as the model computes them, an encoder before its decoder.

    Attributes:
        is_late: 1 for a block of a decoder, else 0.
        stack: Name of what holds the block ("model.layers").
        number: Its place there.
    """

    is_late: int
    stack: str
    number: int


def spread_widths(sizes: Mapping[str, int], bits: float) -> Widths:
    """Give the first blocks the higher of two widths and the others the lower.

    Of n blocks the first int(n·(x − 2) / 2) get 4 bits and the others 2 where 2 < x < 4, and the
    first int(n·(x − 4) / 4) get 8 and the others 4 where 4 < x < 8. Blocks are those with a layer
    among the given ones, the encoder's first; layers outside blocks get the lower width. Where the
    blocks are of one size the mean over weights is therefore at most x.

    Source: Li et al. 2023, LoftQ (arXiv 2310.08659), mixed precision. We differ in that x counts as
    the decimal that was written (30 blocks at 2.4 bits: 6, where floating point gives 5), in 4 to
    8 bits, and in encoder-decoders.

    Args:
        sizes: Layer name to its weights, in any order.
        bits: x; whole widths are given to every layer.

    Raises:
        SpecError: When no block would get the higher width; says what would do.
    """
    if bits == int(bits):
        return dict.fromkeys(sizes, int(bits))
    low, high = next(pair for pair in _PAIRS if bits < pair[1])
    blocks = sorted({block for name in sizes if (block := find_block(name)) is not None})
    share = (Fraction(str(bits)) - low) / (high - low)
    num_high = int(len(blocks) * share)
    if num_high == 0:
        raise SpecError.at(FIELD, _refuse(bits, len(blocks), low=low, high=high))
    first = set(blocks[:num_high])
    return {name: high if find_block(name) in first else low for name in sizes}


def mean_bits(widths: Mapping[str, int], sizes: Mapping[str, int]) -> float:
    """Return the mean width over weights."""
    total = sum(sizes[name] for name in widths)
    return sum(bits * sizes[name] for name, bits in widths.items()) / total


def find_block(name: str) -> Block | None:
    """Return the block a layer is in: up to the first number in its name; None outside blocks."""
    parts = name.split(".")
    place = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    if place is None:
        return None
    stack = parts[:place]
    is_late = int(any(part in _LAST_STACKS for part in stack))
    return Block(is_late, ".".join(stack), int(parts[place]))


def _refuse(bits: float, num_blocks: int, *, low: int, high: int) -> str:
    """Say that a fraction is too small for so few blocks, and the nearest that is not."""
    if num_blocks == 0:
        return (
            f"{bits} needs transformer blocks to tell the first from the others, and no selected "
            f"layer is in one; use {low} or {high}"
        )
    message = f"{bits} of {num_blocks} block{'s' if num_blocks > 1 else ''} gives no block {high} "
    if num_blocks == 1:
        return f"{message}bits; use {low} or {high}"
    least = low + Fraction(high - low, num_blocks)
    if least.denominator == 1:  # a whole number is no mix
        return f"{message}bits; use {low}, {least}, or at least {float(least) + 0.01:.2f}"
    return f"{message}bits; use {low}, or at least {ceil(least * 100) / 100:.2f}"
