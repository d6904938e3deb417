"""What a map's model weighs: sums over the table of what each layer takes at each width.

The arithmetic is `engine.allocation.stored`'s; here it is looked up, since a map is weighed anew
with every edit. Start with `write_ledger`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engine.allocation.stored import BYTES_UNQUANTIZED
from tasks.bit_map.content import Content
from tasks.bit_map.ground import COLUMN, ROUNDED, Ground, Ints


@dataclass(frozen=True)
class Ledger:
    """Bytes of the model at a map.

    Attributes:
        parts: By part: "weights", "scales" and "zero_points" of the map's layers, "embeddings",
            "head" and "other" of what stays as it is, and "adapters", which a map has none of.
        total: Of all parts.
        original: Of the model at 16 bits.
        quantized: Of the map's layers.
        effective_bits: Bits per weight of the map's layers, scales and zero points counted.
        nominal_bits: The mean of their widths over weights.
        smallest: Total at the lowest widths that pins and limits leave.
        largest: At the highest.
    """

    parts: dict[str, int]
    total: int
    original: int
    quantized: int
    effective_bits: float
    nominal_bits: float
    smallest: int
    largest: int


def write_ledger(ground: Ground, content: Content, widths: Iterable[int] = ()) -> Ledger:
    """Weigh a map.

    Args:
        ground: Its layers.
        content: Its widths, pins and limits.
        widths: What layers can be given; those of the content alone where empty.
    """
    sizes = _pick(ground, content.widths)
    rounded = dict(zip(ROUNDED, sizes.sum(axis=1).tolist(), strict=True))
    others = sum(ground.beside.values())
    quantized = sum(rounded.values())
    num_weights = int(ground.num_weights.sum())
    low, high = _bound(ground, content, tuple(widths))
    return Ledger(
        parts={**rounded, **ground.beside},
        total=quantized + others,
        original=ground.shapes.num_parameters * BYTES_UNQUANTIZED,
        quantized=quantized,
        effective_bits=8 * quantized / num_weights,
        nominal_bits=float(ground.num_weights @ np.array(content.widths)) / num_weights,
        smallest=low + others,
        largest=high + others,
    )


def count_stored_bits(ground: Ground, widths: Iterable[int]) -> int:
    """Return what the layers of a map take at these widths."""
    return 8 * int(_pick(ground, tuple(widths)).sum())


def _pick(ground: Ground, widths: tuple[int, ...]) -> Ints:
    """Return (3, L) bytes of each layer by part."""
    columns = np.array([COLUMN[bits] for bits in widths], dtype=np.int64)
    return ground.parts[:, np.arange(len(columns)), columns]


def _bound(ground: Ground, content: Content, widths: tuple[int, ...]) -> tuple[int, int]:
    """Return the least and the most bytes that pins and limits leave the map's layers."""
    own = ground.parts.sum(axis=0)
    allowed = np.zeros(own.shape, dtype=bool)
    allowed[:, [COLUMN[bits] for bits in widths]] = True
    bits = np.array(list(COLUMN))
    for place, least in content.least.items():
        allowed[place] &= bits >= least
    for place, most in content.most.items():
        allowed[place] &= bits <= most
    if content.fused:
        for group in ground.groups:
            allowed[list(group)] = allowed[list(group)].all(axis=0)
    columns = np.array([COLUMN[each] for each in content.widths])
    kept = sorted(content.pins)
    if content.fused:
        kept = sorted({place for pin in kept for place in ground.units[pin]})
    allowed[kept] = False
    allowed[np.arange(len(own)), columns] = True
    low = np.where(allowed, own, own.max() + 1).min(axis=1)
    high = np.where(allowed, own, -1).max(axis=1)
    return int(low.sum()), int(high.sum())
