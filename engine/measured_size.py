"""What a compressed model weighs, packed for use, counted from the layers that are really there.

The estimate before launch is `engine.estimates.size`. Start with `measure_size`.
"""

from __future__ import annotations

from torch import nn

from engine.events import SizeMeasured
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.packing import packed_size
from engine.specs import FloatQuantizer, QuantizerSpec
from engine.specs.quantizer import BITS_UNQUANTIZED

BYTES_UNQUANTIZED = 2


def measure_size(model: nn.Module, layers: Layers, quantizer: QuantizerSpec) -> SizeMeasured:
    """Count the bytes of the compressed model from the layers that are really there.

    Packed codes, float16 scales, zero points as wide as a code (asymmetric grids only), and 16 bits
    for everything that is not quantized. Absorbed adapters vanish into the codes and weigh nothing;
    parallel ones weigh 16 bits per parameter at their current rank. Counted is the model at the
    widths it stands at, with the adapters of these; layers at 16 bits are not quantized.
    """
    quantized = [layer for layer in layers.values() if _is_rounded(layer)]
    inside = {id(layer.weight) for layer in quantized}
    trained = {
        id(value)
        for layer in layers.values()
        for part in (layer.ranges, layer.adapter)
        if part is not None
        for value in part.parameters()
    }
    rest = sum(
        value.numel()
        for value in model.parameters()
        if id(value) not in inside and id(value) not in trained
    )
    num_weights = sum(layer.weight.numel() for layer in quantized)
    parts = {
        "weights": sum(_code_bytes(layer) for layer in quantized),
        "scales": sum(_num_groups(layer) * BYTES_UNQUANTIZED for layer in quantized),
        "zero_points": 0,
        "unquantized": rest * BYTES_UNQUANTIZED,
    }
    if not isinstance(quantizer, FloatQuantizer) and quantizer.has_zero_points:
        parts["zero_points"] = sum(_zero_point_bytes(layer) for layer in quantized)
    adapters = sum(_adapter_bytes(layer) for layer in layers.values())
    if adapters:
        parts["adapters"] = adapters
    stored = parts["weights"] + parts["scales"] + parts["zero_points"]
    return SizeMeasured(
        total_bytes=sum(parts.values()),
        original_bytes=(num_weights + rest) * BYTES_UNQUANTIZED,
        effective_bits=8 * stored / num_weights if num_weights else 16.0,
        parts=parts,
    )


def _is_rounded(layer: RoundedWeight) -> bool:
    return layer.ranges is not None and layer.active_bits != BITS_UNQUANTIZED


def _num_groups(layer: RoundedWeight) -> int:
    return layer.weight.shape[0] * layer.num_groups


def _adapter_bytes(layer: RoundedWeight) -> int:
    """Return what a parallel adapter weighs at its current rank."""
    if layer.parallel is None:
        return 0
    return layer.active_rank * sum(layer.weight.shape) * BYTES_UNQUANTIZED


def _code_bytes(layer: RoundedWeight) -> int:
    return packed_size(layer.weight.numel(), layer.active_bits)


def _zero_point_bytes(layer: RoundedWeight) -> int:
    return packed_size(_num_groups(layer), layer.active_bits)
