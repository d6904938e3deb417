"""The files of what was trained: codes, ranges and adapters, and back.

What a model weighs is `measured_size`. Start with `save_result`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import CheckpointError
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.grouping import join, split
from engine.quant.packing import pack, unpack
from engine.quant.ranges import asymmetric_grid, symmetric_grid
from engine.quant.uniform import decode
from engine.specs import LoraAdapter
from engine.teacher.cache import Tensors, write_tensors

RESULT_FORMAT = "bitdial-result-4"
READABLE_FORMATS = ("bitdial-result-2", "bitdial-result-3", RESULT_FORMAT)
"""Results of version 2 have codes of one byte each, as (O, I); both older ones have the grid of
uniform ranges again beside the ranges."""
MAX_OTHER_CODES = 1e-3
"""Share of codes that may differ: ties that another device or thread count rounds otherwise."""


def save_result(path: Path, layers: Layers) -> None:
    """Write the result: codes and their grid, and what they came from.

    For each quantized layer `codes`, packed without gaps, and its ranges in float32 as trained:
    with `levels` value = levels[code] · `ranges.scale`, else value = (code − zero point) · step of
    the grid that the ranges stand for, whatever the start and the training were. Beside them the
    adapters, elastic ones at their largest rank. The codes are those of the ranks the layers stand
    at. `read_weights` turns them back.

    Raises:
        StorageError: When the file cannot be written.
    """
    tensors: Tensors = {}
    for name, layer in layers.items():
        if layer.adapter is not None:
            tensors |= _adapter_tensors(name, layer.adapter, layer.adapter.max_rank)
        tensors |= _rounding_tensors(name, layer)
    write_tensors(path, tensors, _describe(layers))


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
    write_tensors(path, tensors, _describe(layers))


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
            value.copy_(tensors[f"{name}/{key}"])
    _restore_rounded(path, tensors, layers)


def _restore_rounded(path: Path, tensors: Tensors, layers: Layers) -> None:
    """Take what is rounded beside a parallel adapter from the codes where it came out otherwise.

    An alternating start can end elsewhere on another machine; beside a parallel adapter nothing but
    its codes is used of it.
    """
    other = [
        name
        for name, layer in layers.items()
        if layer.parallel is not None and _count_other_codes(tensors, name, layer)
    ]
    weights = read_weights(path) if other else {}
    for name in other:
        layers[name].weight.data.copy_(weights[name])


def read_weights(path: Path) -> Tensors:
    """Return the rounded weights of a result from its codes alone, (O, I) float32 by layer.

    Parallel adapters are not part of them.

    Raises:
        CheckpointError: When the file is missing, damaged, or of an older version.
    """
    tensors = _read(path)
    described = _read_described(path)
    return {name: _decode(tensors, name, **layer) for name, layer in described.items()}


def read_widths(path: Path) -> dict[str, int]:
    """Return the width of each quantized layer of a result, in the model's order.

    Raises:
        CheckpointError: When the file is missing, damaged, or of an older version.
    """
    return {name: int(layer["bits"]) for name, layer in _read_described(path).items()}


def _read_described(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a result says of each layer's codes."""
    try:
        with safe_open(path, framework="pt") as file:
            described = json.loads((file.metadata() or {}).get("layers", "null"))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error
    if not isinstance(described, dict):
        raise CheckpointError(f"{path.name} is of an older version")
    return described


def _decode(tensors: Tensors, name: str, *, bits: int, shape: list[int]) -> Tensor:
    """Turn the codes of a layer back, whichever grid they are of."""
    count = shape[0] * shape[1]
    codes = unpack(tensors[f"{name}/codes"], bits, count=count).view(shape)
    if f"{name}/levels" in tensors:
        scale = tensors[f"{name}/ranges.scale"]
        values = tensors[f"{name}/levels"][split(codes, scale.shape[1]).int()]
        return join(values * scale.unsqueeze(-1))
    if f"{name}/ranges.scale" in tensors:
        grid = symmetric_grid(tensors[f"{name}/ranges.scale"], bits)
    else:
        low, extent = (tensors[f"{name}/ranges.{key}"] for key in ("low", "extent"))
        grid = asymmetric_grid(low, extent, bits)
    return join(decode(split(codes, grid.width.shape[1]), grid))


def check_codes(path: Path, layers: Layers) -> None:
    """Make sure that layers give the codes of a result, at the ranks it was saved at.

    They do not where the frozen weights under the adapters are others: a model of another revision,
    or a compensated start that came out differently on this machine.

    Raises:
        CheckpointError: When more codes differ than rounding explains.
    """
    tensors = _read(path)
    different = sum(_count_other_codes(tensors, name, layer) for name, layer in layers.items())
    total = sum(layer.weight.numel() for layer in layers.values() if layer.ranges is not None)
    if different > MAX_OTHER_CODES * total:
        raise CheckpointError(
            f"{different / total:.1%} of the integer weights differ from those of {path.name}; the "
            "model or its start is not the one that was trained"
        )


def _count_other_codes(tensors: Tensors, name: str, layer: RoundedWeight) -> int:
    """Return how many of a layer's codes are not those of the file; all where it has none."""
    if layer.ranges is None:
        return 0
    saved = tensors.get(f"{name}/codes")
    if saved is None:
        return layer.weight.numel()
    if saved.ndim == 1:
        saved = unpack(saved, layer.ranges.bits, count=layer.weight.numel())
    return int((_stored(layer, layer.ranges)["codes"].cpu().view(-1) != saved.view(-1)).sum())


def load_extracted(path: Path, layers: Layers) -> None:
    """Give layers the adapters of an extracted file, each of its own fixed rank, and its ranges.

    Args:
        path: Written by `save_extracted`.
        layers: Installed without adapters from the same quantizer and, for absorbed adapters,
            brought to the same start; changed in place.

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
    _restore_rounded(path, tensors, layers)
    check_codes(path, layers)


def _read(path: Path) -> Tensors:
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") not in READABLE_FORMATS:
                raise CheckpointError(f"{path.name} is not a result, or of an older version")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error


def _describe(layers: Layers) -> dict[str, str]:
    """Return the metadata of a result: its format, and what its codes must be read with."""
    described = {
        name: {"bits": layer.ranges.bits, "shape": list(layer.weight.shape)}
        for name, layer in layers.items()
        if layer.ranges is not None
    }
    return {"format": RESULT_FORMAT, "layers": json.dumps(described)}


def _trained(layer: RoundedWeight) -> Tensors:
    """Return adapter and ranges by name, sharing memory with the layer."""
    return {
        f"{part}.{key}": value
        for part, module in (("adapter", layer.adapter), ("ranges", layer.ranges))
        if module is not None
        for key, value in module.state_dict().items()
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
    """Return ranges, packed codes and grid of a layer; nothing where it is not quantized."""
    if layer.ranges is None:
        return {}
    parts = {f"ranges.{key}": value for key, value in layer.ranges.state_dict().items()}
    stored = _stored(layer, layer.ranges)
    parts |= stored | {"codes": pack(stored["codes"], layer.ranges.bits)}
    return {f"{name}/{key}": value for key, value in parts.items()}


@torch.no_grad()
def _stored(layer: RoundedWeight, ranges: WeightRanges) -> Tensors:
    return ranges.stored(split(layer.unrounded(), layer.num_groups))
