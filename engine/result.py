"""What a compressed model weighs, and the files of what was trained.

Start with `measure_size` and `save_result`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from engine.errors import CheckpointError
from engine.events import SizeMeasured
from engine.layers.adapters import LoraPair
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.grouping import join, split
from engine.quant.uniform import encode
from engine.specs import IntegerQuantizer, LoraAdapter, QuantizerSpec
from engine.teacher.cache import Tensors, write_tensors

BYTES_UNQUANTIZED = 2
RESULT_FORMAT = "bitdial-result-2"
MAX_OTHER_CODES = 1e-3
"""Share of codes that may differ: ties that another device or thread count rounds otherwise."""


def measure_size(model: nn.Module, layers: Layers, quantizer: QuantizerSpec) -> SizeMeasured:
    """Count the bytes of the compressed model from the layers that are really there.

    Packed codes, float16 scales, zero points as wide as a code (asymmetric grids only), and 16 bits
    for everything that is not quantized. Absorbed adapters vanish into the codes and weigh nothing;
    parallel ones weigh 16 bits per parameter at their current rank.
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


def save_result(path: Path, layers: Layers) -> None:
    """Write the result: codes and their grid, and what they came from.

    For each quantized layer `codes` (O, I) uint8, `step` (O, G) float32 and `zero_point` (O, G)
    uint8, from which value = (code − zero_point) · step, whatever the start and the training were;
    beside them adapters and ranges as trained, elastic ones at their largest rank. The codes are
    those of the ranks the layers stand at.

    Raises:
        StorageError: When the file cannot be written.
    """
    tensors: Tensors = {}
    for name, layer in layers.items():
        if layer.adapter is not None:
            tensors |= _adapter_tensors(name, layer.adapter, layer.adapter.max_rank)
        tensors |= _rounding_tensors(name, layer)
    write_tensors(path, tensors, {"format": RESULT_FORMAT})


def save_extracted(path: Path, layers: Layers) -> None:
    """Write the same with adapters cut to the ranks the layers stand at: an adapter of its own.

    Raises:
        StorageError: When the file cannot be written.
    """
    tensors: Tensors = {}
    for name, layer in layers.items():
        if layer.adapter is not None and layer.active_rank:
            tensors |= _adapter_tensors(name, layer.adapter, layer.active_rank)
        tensors |= _rounding_tensors(name, layer)
    write_tensors(path, tensors, {"format": RESULT_FORMAT})


def load_result(path: Path, layers: Layers) -> None:
    """Put adapters and ranges of a result into layers installed from the same spec, in place.

    Raises:
        CheckpointError: When the file is missing, damaged, or of other layers; nothing is changed
            then.
    """
    tensors = _read(path)
    for name, layer in layers.items():
        for key, value in _trained(layer).items():
            saved = tensors.get(f"{name}/{key}")
            if saved is None or saved.shape != value.shape:
                raise CheckpointError(f"{path.name} lacks {key} of {name} in this shape")
    for name, layer in layers.items():
        for key, value in _trained(layer).items():
            value.data.copy_(tensors[f"{name}/{key}"])


def check_codes(path: Path, layers: Layers) -> None:
    """Make sure that layers give the codes of a result, at the ranks it was saved at.

    They do not where the frozen weights under the adapters are others: a model of another revision,
    or a compensated start that came out differently on this machine.

    Raises:
        CheckpointError: When more codes differ than rounding explains.
    """
    tensors = _read(path)
    different = total = 0
    for name, layer in layers.items():
        codes = _codes(layer).get("codes")
        if codes is not None:
            different += int((codes.cpu() != tensors[f"{name}/codes"]).sum())
            total += codes.numel()
    if different > MAX_OTHER_CODES * total:
        raise CheckpointError(
            f"{different / total:.1%} of the integer weights differ from those of {path.name}; the "
            "model or its start is not the one that was trained"
        )


def load_extracted(path: Path, layers: Layers) -> None:
    """Give layers the adapters of an extracted file, each of its own fixed rank, and its ranges.

    Args:
        path: Written by `save_extracted`.
        layers: Installed without adapters from the same quantizer and brought to the same start;
            changed in place.

    Raises:
        CheckpointError: When the file is missing, damaged, of other layers, or of another start.
    """
    load_result(path, layers)
    tensors = _read(path)
    for name, layer in layers.items():
        if f"{name}/adapter.a" in tensors:
            rank = len(tensors[f"{name}/adapter.a"])
            spec = LoraAdapter(r=rank, lora_alpha=rank)
            pair = LoraPair(layer.weight.shape, spec, generator=torch.Generator())
            pair.a.data.copy_(tensors[f"{name}/adapter.a"])
            pair.b.data.copy_(tensors[f"{name}/adapter.b"])
            pair.scaling = float(tensors[f"{name}/adapter.scaling"])
            pair.is_absorbed = bool(tensors[f"{name}/adapter.is_absorbed"])
            layer.adapter = pair.to(layer.weight.device)
            layer.active_rank = rank
    check_codes(path, layers)


def _read(path: Path) -> Tensors:
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != RESULT_FORMAT:
                raise CheckpointError(f"{path.name} is not a result, or of an older version")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error


def _trained(layer: RoundedWeight) -> dict[str, nn.Parameter]:
    return {
        f"{part}.{key}": value
        for part, module in (("adapter", layer.adapter), ("ranges", layer.ranges))
        if module is not None
        for key, value in module.named_parameters()
    }


def _adapter_tensors(name: str, pair: LoraPair, rank: int) -> Tensors:
    cut = pair.low_rank(rank)
    return {
        f"{name}/adapter.a": cut.a.contiguous(),
        f"{name}/adapter.b": cut.b.contiguous(),
        f"{name}/adapter.scaling": torch.tensor(pair.scaling, dtype=torch.float64),
        f"{name}/adapter.is_absorbed": torch.tensor(pair.is_absorbed),
    }


def _rounding_tensors(name: str, layer: RoundedWeight) -> Tensors:
    """Return ranges, codes and grid of a layer; nothing where it is not quantized."""
    if layer.ranges is None:
        return {}
    ranges = {f"{name}/ranges.{key}": value for key, value in layer.ranges.state_dict().items()}
    return ranges | {f"{name}/{key}": value for key, value in _codes(layer).items()}


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


def _adapter_bytes(layer: RoundedWeight) -> int:
    """Return what a parallel adapter weighs at its current rank."""
    if layer.parallel is None:
        return 0
    return layer.active_rank * sum(layer.weight.shape) * BYTES_UNQUANTIZED


def _code_bytes(layer: RoundedWeight) -> int:
    return -(-layer.weight.numel() * layer.active_bits // 8)


def _zero_point_bytes(layer: RoundedWeight) -> int:
    return -(-_num_groups(layer) * layer.active_bits // 8)
