"""The files of what was trained: codes, ranges and adapters, and back.

What a model weighs is `measured_size`. Start with `save_result`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
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
from engine.tensor_file import TensorFile, open_tensors, read_tensors

RESULT_FORMAT = "bitdial-result-4"
READABLE_FORMATS = ("bitdial-result-2", "bitdial-result-3", RESULT_FORMAT)
"""Results of version 2 have codes of one byte each, as (O, I); both older ones have the grid of
uniform ranges again beside the ranges."""
_WHAT = "a result"
WIDEST_CODE = 8
"""Bits of a code that are read; `pack` writes no wider ones."""
MAX_OTHER_CODES = 1e-3
"""Share of codes that may differ: ties that another device or thread count rounds otherwise."""


def save_result(path: Path, layers: Layers) -> None:
    """Write the result: codes and their grid, and what they came from.

    For each quantized layer `codes`, packed without gaps, and its ranges in float32 as trained:
    with `levels` value = levels[code] · `ranges.scale`, else value = (code − zero point) · step of
    the grid that the ranges stand for, whatever the start and the training were. Beside them the
    adapters, elastic ones at their largest rank. The codes are those of the ranks the layers stand
    at. `iter_weights` turns them back.

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
    for name, weight in iter_weights(path, other) if other else ():
        layers[name].weight.data.copy_(weight)


def iter_weights(path: Path, names: Collection[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Yield the rounded weights of a result from its codes alone, (O, I) float32 by layer.

    One at a time: all of them weigh several times what the model does. Parallel adapters are not
    part of them.

    Args:
        path: Of the result.
        names: The layers that are asked for; None for all.

    Raises:
        CheckpointError: When the file is missing, damaged, of an older version, or lacks a layer.
    """
    with _open(path) as file:
        described = _read_described(file)
        for name in described if names is None else names:
            if name not in described:
                raise CheckpointError(f"{path.name} does not say what the codes of {name} are")
            yield name, _decode(file, name, described[name])


def read_widths(path: Path) -> dict[str, int]:
    """Return the width of each quantized layer of a result, in the model's order.

    Raises:
        CheckpointError: When the file is missing, damaged, or of an older version.
    """
    with _open(path) as file:
        return {name: layer.bits for name, layer in _read_described(file).items()}


def read_trained(path: Path) -> Tensors:
    """Return the adapters and ranges of a result by name, without its codes.

    Raises:
        CheckpointError: When the file is missing, damaged, or of an older version.
    """
    with _open(path) as file:
        names = (name for name in file.list_names() if _is_trained(name))
        return {name: file.read(name) for name in names}


def _is_trained(name: str) -> bool:
    return name.rpartition("/")[2].startswith(("adapter.", "ranges."))


@dataclass(frozen=True)
class _Codes:
    """What the codes of a layer must be read with: their width, and the weight's shape."""

    bits: int
    shape: tuple[int, int]


def _read_described(file: TensorFile) -> dict[str, _Codes]:
    """Return what a result says of each layer's codes."""
    if "layers" not in file.metadata:
        raise CheckpointError(f"{file.name} is of an older version")
    try:
        described = json.loads(file.metadata["layers"])
        return {name: _read_codes(**layer) for name, layer in described.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{file.name} is damaged: it does not say of each layer how wide its codes are and "
            "which shape they have"
        ) from error


def _read_codes(*, bits: int, shape: list[int]) -> _Codes:
    rows, columns = map(int, shape)
    if not 1 <= bits <= WIDEST_CODE or min(rows, columns) < 1:
        raise ValueError(f"{bits} bits and shape {shape}")
    return _Codes(int(bits), (rows, columns))


def _decode(file: TensorFile, name: str, described: _Codes) -> Tensor:
    """Turn the codes of a layer back, whichever grid they are of."""
    try:
        return _compute_weight(file, name, described)
    except (RuntimeError, IndexError) as error:  # of tensors that do not fit each other
        raise CheckpointError(f"{file.name} is damaged at {name}: {error}") from error


def _compute_weight(file: TensorFile, name: str, described: _Codes) -> Tensor:
    rows, columns = described.shape
    packed = file.read(f"{name}/codes")
    codes = unpack(packed, described.bits, count=rows * columns).view(rows, columns)
    known = file.list_names()
    if f"{name}/levels" in known:
        scale = file.read(f"{name}/ranges.scale")
        values = file.read(f"{name}/levels")[split(codes, scale.shape[1]).int()]
        return join(values * scale.unsqueeze(-1))
    if f"{name}/ranges.scale" in known:
        grid = symmetric_grid(file.read(f"{name}/ranges.scale"), described.bits)
    else:
        low, extent = (file.read(f"{name}/ranges.{key}") for key in ("low", "extent"))
        grid = asymmetric_grid(low, extent, described.bits)
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


def _open(path: Path) -> AbstractContextManager[TensorFile]:
    return open_tensors(path, READABLE_FORMATS, what=_WHAT)


def _read(path: Path) -> Tensors:
    return read_tensors(path, READABLE_FORMATS, what=_WHAT)


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
