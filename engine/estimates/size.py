"""What the compressed model will weigh, packed for use: the sum of its parts, exactly.

The result file of a run is larger: it keeps trained ranges and adapters in float32, so that
training and searches go on from it exactly.

Counted is the model at the widths its own scores are measured at, whatever others it can be served
at. Which layers get more bits by sensitivity is known only once it was measured: until then every
layer counts with the mean, and codes come to no more than that.

Quantized layers are as `engine.allocation.stored` counts them; all else is 16 bits. Absorbed
adapters vanish into the codes, parallel ones weigh 16 bits per parameter.
The same sum as `engine.measured_size` takes from the real model. Start with `estimate_size`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.allocation.fractions import spread_widths
from engine.allocation.stored import BYTES_UNQUANTIZED, count_parts
from engine.estimates.rank_space import list_groups
from engine.estimates.selection import list_adapted, list_quantized
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import ElasticLoraAdapter, FloatQuantizer, NoAdapter, Subject
from engine.specs.layer_bits import find_bits
from engine.specs.quantizer import WeightQuantizer, find_measured_mixing


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
    """Count the bytes of the result; shared weights count once.

    Raises:
        SpecError: When a fraction of bits is too small for so few blocks.
    """
    layers = list_quantized(spec, shapes)
    parts = {"weights": 0, "scales": 0, "zero_points": 0, "unquantized": 0}
    if not isinstance(spec.quantizer, FloatQuantizer):
        parts |= _quantized_bytes(spec.quantizer, layers)
    num_quantized = sum(layer.num_weights for layer in layers)
    stored = sum(parts.values())
    adapters = count_parallel(spec, shapes) * BYTES_UNQUANTIZED
    if adapters:
        parts["adapters"] = adapters
    parts["unquantized"] = (shapes.num_parameters - num_quantized) * BYTES_UNQUANTIZED
    return SizeEstimate(
        original_bytes=shapes.num_parameters * BYTES_UNQUANTIZED,
        effective_bits=8 * stored / num_quantized if num_quantized else 16.0,
        parts=parts,
    )


def _quantized_bytes(spec: WeightQuantizer, layers: tuple[LayerShape, ...]) -> dict[str, int]:
    """Return the bytes of codes, scales and zero points."""
    widths = _list_widths(spec, layers)
    parts = [count_parts(layer, spec, width) for layer, width in zip(layers, widths, strict=True)]
    return {
        "weights": sum(each.weights for each in parts),
        "scales": sum(each.scales for each in parts),
        "zero_points": sum(each.zero_points for each in parts),
    }


def _list_widths(spec: WeightQuantizer, layers: tuple[LayerShape, ...]) -> list[float]:
    """Return the width of each layer; the mean for all where it is yet to be measured."""
    if find_measured_mixing(spec):
        return [spec.bits] * len(layers)
    widths = spread_widths({layer.name: layer.num_weights for layer in layers}, spec.bits)
    mapped = {layer.name: find_bits(spec.layer_bits, layer.name) for layer in layers}
    return [bits.weights if (bits := mapped[name]) else widths[name] for name in mapped]


def count_parallel(spec: Subject, shapes: ModelShapes) -> int:
    """Return the parameters of adapters that stay beside the weights, at the reported ranks."""
    if isinstance(spec.adapter, NoAdapter) or spec.adapter.placement == "absorbed":
        return 0
    if not isinstance(spec.adapter, ElasticLoraAdapter):
        layers = list_adapted(spec, shapes)
        return spec.adapter.r * sum(each.out_features + each.in_features for each in layers)
    groups = list_groups(spec, shapes)
    ranks = spec.adapter.reported_ranks(len(groups))
    return sum(
        rank * sum(layer.out_features + layer.in_features for layer in group.layers)
        for rank, group in zip(ranks, groups, strict=False)
    )
