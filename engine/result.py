"""What a compressed model weighs, and the file of what was trained. Start with `measure_size`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from engine.events import SizeMeasured
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.grouping import join, split
from engine.quant.uniform import encode
from engine.specs import IntegerQuantizer, QuantizerSpec
from engine.teacher.cache import Tensors, write_tensors

BYTES_UNQUANTIZED = 2


def measure_size(model: nn.Module, layers: Layers, quantizer: QuantizerSpec) -> SizeMeasured:
    """Count the bytes of the compressed model from the layers that are really there.

    Packed codes, float16 scales, zero points as wide as a code (asymmetric grids only), and 16 bits
    for everything that is not quantized. Absorbed adapters vanish into the codes and weigh nothing.
    """
    quantized = [layer for layer in layers.values() if layer.ranges is not None]
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
    if isinstance(quantizer, IntegerQuantizer) and quantizer.symmetry == "asymmetric":
        parts["zero_points"] = sum(_zero_point_bytes(layer) for layer in quantized)
    stored = parts["weights"] + parts["scales"] + parts["zero_points"]
    return SizeMeasured(
        total_bytes=sum(parts.values()),
        original_bytes=(num_weights + rest) * BYTES_UNQUANTIZED,
        effective_bits=8 * stored / num_weights if num_weights else 16.0,
        parts=parts,
    )


def save_result(path: Path, layers: Layers) -> None:
    """Write the result: codes and their grid, and what they came from.

    For each quantized layer `codes` (O, I) uint8, `step` (O, G) float32 and `zero_point` (O, G)
    uint8, from which value = (code − zero_point) · step, whatever the start and the training were;
    beside them adapters and ranges as trained.

    Raises:
        StorageError: When the file cannot be written.
    """
    tensors = {
        f"{name}/{part}.{key}": value
        for name, layer in layers.items()
        for part, module in (("adapter", layer.adapter), ("ranges", layer.ranges))
        if module is not None
        for key, value in module.state_dict().items()
    }
    for name, layer in layers.items():
        tensors |= {f"{name}/{key}": value for key, value in _codes(layer).items()}
    write_tensors(path, tensors, {"format": "bitdial-result-1"})


@torch.no_grad()
def _codes(layer: RoundedWeight) -> Tensors:
    """Return the codes and the grid of a layer; nothing where it is not quantized."""
    if layer.ranges is None:
        return {}
    grid = layer.ranges.grid()
    codes = encode(split(layer.unrounded(), layer.num_groups), grid)
    return {
        "codes": join(codes),
        "step": grid.step,
        "zero_point": grid.zero_point.to(torch.uint8),
    }


def _num_groups(layer: RoundedWeight) -> int:
    return layer.weight.shape[0] * layer.num_groups


def _code_bytes(layer: RoundedWeight) -> int:
    return -(-layer.weight.numel() * layer.active_bits // 8)


def _zero_point_bytes(layer: RoundedWeight) -> int:
    return -(-_num_groups(layer) * layer.active_bits // 8)
