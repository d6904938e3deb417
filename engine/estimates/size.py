"""What the compressed model will weigh, exactly: the sum a saved checkpoint would have.

Codes are packed without gaps within a layer, scales are float16, zero points are as wide as a code
and exist on asymmetric integer grids only; all else is 16 bits. Absorbed adapters vanish into the
codes, parallel ones weigh 16 bits per parameter.
The same sum as `engine.result` takes from the real model. Start with `estimate_size`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.estimates.rank_space import list_groups
from engine.estimates.selection import list_adapted, list_quantized, num_groups
from engine.models.shapes import ModelShapes
from engine.specs import FloatQuantizer, LoraAdapter, NoAdapter, Subject

BYTES_UNQUANTIZED = 2
SCALE_BYTES = 2


@dataclass(frozen=True)
class SizeEstimate:
    """Bytes of the result.

    Attributes:
        original_bytes: The model with 16 bits everywhere.
        effective_bits: Bits per weight of the quantized layers, scales and zero points counted; 16
            where there are none.
        parts: Bytes of "weights", "scales", "zero_points", "unquantized" and, where they stay,
            "adapters".
    """

    original_bytes: int
    effective_bits: float
    parts: dict[str, int]

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole result."""
        return sum(self.parts.values())


def estimate_size(spec: Subject, shapes: ModelShapes) -> SizeEstimate:
    """Count the bytes of the result; shared weights count once."""
    layers = list_quantized(spec, shapes)
    parts = {"weights": 0, "scales": 0, "zero_points": 0, "unquantized": 0}
    if not isinstance(spec.quantizer, FloatQuantizer):
        bits = int(spec.quantizer.bits)
        groups = [num_groups(layer, spec.quantizer) for layer in layers]
        parts["weights"] = sum(_packed(layer.num_weights, bits) for layer in layers)
        parts["scales"] = sum(groups) * SCALE_BYTES
        if spec.quantizer.has_zero_points:
            parts["zero_points"] = sum(_packed(count, bits) for count in groups)
    num_quantized = sum(layer.num_weights for layer in layers)
    stored = sum(parts.values())
    adapters = _count_parallel(spec, shapes) * BYTES_UNQUANTIZED
    if adapters:
        parts["adapters"] = adapters
    parts["unquantized"] = (shapes.num_parameters - num_quantized) * BYTES_UNQUANTIZED
    return SizeEstimate(
        original_bytes=shapes.num_parameters * BYTES_UNQUANTIZED,
        effective_bits=8 * stored / num_quantized if num_quantized else 16.0,
        parts=parts,
    )


def _count_parallel(spec: Subject, shapes: ModelShapes) -> int:
    """Return the parameters of adapters that stay beside the weights, at the reported ranks."""
    if isinstance(spec.adapter, NoAdapter) or spec.adapter.placement == "absorbed":
        return 0
    if isinstance(spec.adapter, LoraAdapter):
        layers = list_adapted(spec, shapes)
        return spec.adapter.r * sum(each.out_features + each.in_features for each in layers)
    groups = list_groups(spec, shapes)
    ranks = spec.adapter.reported_ranks(len(groups))
    return sum(
        rank * sum(layer.out_features + layer.in_features for layer in group.layers)
        for rank, group in zip(ranks, groups, strict=False)
    )


def _packed(count: int, bits: int) -> int:
    """Return the bytes of so many codes, the last byte filled up."""
    return -(-count * bits // 8)
