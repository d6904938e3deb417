"""What a layer takes at a width, packed for use: codes, scales and zero points. Exact.

The arithmetic of every size that is told before a run (`engine.estimates.size`, `ledger`) and of
every budget in bytes. Codes are packed without gaps within a layer, scales are float16, zero points
are as wide as a code and exist on asymmetric integer grids only. Start with `stored_bits`.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import NamedTuple

from engine.models.shapes import LayerShape
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer

BYTES_UNQUANTIZED = 2
SCALE_BYTES = 2


class StoredParts(NamedTuple):
    """Bytes of a layer.

    Attributes:
        weights: Its codes, or its weights where it keeps 16 bits.
        scales: Its scales.
        zero_points: Its zero points.
    """

    weights: int
    scales: int = 0
    zero_points: int = 0


def stored_bits(layer: LayerShape, quantizer: WeightQuantizer, width: int) -> int:
    """Return the bits a layer takes; 16 is 16 bits for each weight and nothing beside them."""
    return 8 * sum(count_parts(layer, quantizer, width))


def count_parts(layer: LayerShape, quantizer: WeightQuantizer, width: float) -> StoredParts:
    """Return the bytes of a layer by part.

    Args:
        layer: The layer.
        quantizer: How it is rounded.
        width: Its width; a fraction stands for the mean where widths are yet to be chosen.
    """
    if width == BITS_UNQUANTIZED:
        return StoredParts(layer.num_weights * BYTES_UNQUANTIZED)
    groups = count_groups(layer, quantizer)
    zero_points = groups if quantizer.has_zero_points else 0
    return StoredParts(
        weights=_packed(layer.num_weights, width),
        scales=groups * SCALE_BYTES,
        zero_points=_packed(zero_points, width),
    )


def count_groups(layer: LayerShape, quantizer: WeightQuantizer) -> int:
    """Return how many scales a layer has."""
    return layer.num_weights // (quantizer.shared_weights or layer.in_features)


def _packed(count: int, bits: float) -> int:
    """Return the bytes of so many codes, the last byte filled up."""
    if isinstance(bits, int):
        return -(-count * bits // 8)
    return ceil(count * Fraction(str(bits)) / 8)
