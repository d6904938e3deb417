"""The files of what was trained: codes, ranges and adapters, and back.

What a model weighs is `measured_size`. Start with `save_result`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.layers.weight_ranges import NarrowRanges
from engine.quant.grouping import split
from engine.quant.packing import pack, unpack
from engine.result_codes import decode_weight, read_described
from engine.teacher.cache import Tensors, write_tensors
from engine.tensor_file import TensorFile, open_tensors, read_tensors

RESULT_FORMAT = "bitdial-result-5"
READABLE_FORMATS = ("bitdial-result-2", "bitdial-result-3", "bitdial-result-4", RESULT_FORMAT)
"""Results of version 2 have codes of one byte each, as (O, I); both older ones have the grid of
uniform ranges again beside the ranges."""
_WHAT = "a result"
MAX_OTHER_CODES = 1e-3
"""Share of codes that may differ: ties that another device or thread count rounds otherwise."""


def save_result(path: Path, layers: Layers) -> None:
    """Write the result: codes and their grid, and what they came from.

    For each quantized layer `codes`, packed without gaps, and its ranges in float32 as trained:
    with `levels` value = levels[code] · `ranges.scale`, else value = (code − zero point) · step of
    the grid that the ranges stand for, whatever the start and the training were. Beside them the
    adapters, elastic ones at their largest rank. A layer trained at several widths has ranges and
    adapters of each ("ranges.8.scale"); the codes are those of the width and ranks the layers stand
    at. `iter_weights` turns them back.

    Raises:
        StorageError: When the file cannot be written.
    """
    tensors: Tensors = {}
    for name, layer in layers.items():
        for part, pair in layer.list_adapters().items():
            tensors |= _adapter_tensors(f"{name}/{part}", pair, pair.max_rank)
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
            tensors |= _adapter_tensors(f"{name}/adapter", layer.adapter, layer.active_rank)
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


def restore_start(path: Path, layers: Layers) -> None:
    """Take what a start made of frozen weights from the codes where it came out otherwise.

    An alternating or compensated start can end elsewhere on another machine, and it is made for one
    width: beside a parallel adapter nothing but its codes is used of it. Only for starts that
    replace weights. Where a start leaves them as the model has them, every other width is rounded
    from them as well, and what differs is for `check_codes` to tell.

    Args:
        path: Of the result.
        layers: Brought to the same start, with the adapters and ranges of the result; changed in
            place.

    Raises:
        CheckpointError: When the file is missing, damaged, or lacks a layer.
    """
    tensors = _read(path)
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
        described = read_described(file)
        for name in described if names is None else names:
            if name not in described:
                raise CheckpointError(f"{path.name} does not say what the codes of {name} are")
            yield name, decode_weight(file, name, described[name])


def read_widths(path: Path) -> dict[str, int]:
    """Return the width of each quantized layer of a result, in the model's order.

    Raises:
        CheckpointError: When the file is missing, damaged, or of an older version.
    """
    with _open(path) as file:
        return {name: layer.bits for name, layer in read_described(file).items()}


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


def check_codes(path: Path, layers: Layers) -> None:
    """Make sure that layers give the codes of a result, at the ranks it was saved at.

    They do not where the frozen weights under the adapters are others: a model in another number
    format or of another revision, or a compensated start that came out differently on this machine.

    Raises:
        CheckpointError: When more codes differ than rounding explains.
    """
    tensors = _read(path)
    different = sum(_count_other_codes(tensors, name, layer) for name, layer in layers.items())
    total = sum(layer.weight.numel() for layer in layers.values() if layer.ranges is not None)
    if different > MAX_OTHER_CODES * total:
        raise CheckpointError(
            f"{different / total:.1%} of the integer weights differ from those of {path.name}; the "
            "model or its start is not the one that was trained. Most likely its weights were read "
            "in another number format, which auto chooses by the device: use the device that it "
            "was trained on, or train with model.dtype chosen"
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


def _open(path: Path) -> AbstractContextManager[TensorFile]:
    return open_tensors(path, READABLE_FORMATS, what=_WHAT)


def _read(path: Path) -> Tensors:
    return read_tensors(path, READABLE_FORMATS, what=_WHAT)


def _describe(layers: Layers) -> dict[str, str]:
    """Return the metadata of a result: its format, and what its codes must be read with."""
    described = {
        name: {
            "bits": layer.ranges.bits,
            "shape": list(layer.weight.shape),
            "is_narrow": isinstance(layer.ranges, NarrowRanges),
        }
        for name, layer in layers.items()
        if layer.ranges is not None
    }
    return {"format": RESULT_FORMAT, "layers": json.dumps(described)}


def _trained(layer: RoundedWeight) -> Tensors:
    """Return adapters and ranges of every width by name, sharing memory with the layer."""
    parts: dict[str, nn.Module] = {**layer.list_adapters(), **layer.list_ranges()}
    return {
        f"{part}.{key}": value
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }


def _adapter_tensors(name: str, pair: LoraPair, rank: int) -> Tensors:
    cut = pair.low_rank(rank)
    return {
        f"{name}.a": cut.a.contiguous(),
        f"{name}.b": cut.b.contiguous(),
        f"{name}.scaling": torch.tensor(pair.scaling, dtype=torch.float64),
        f"{name}.is_absorbed": torch.tensor(pair.is_absorbed),
    }


def _rounding_tensors(name: str, layer: RoundedWeight) -> Tensors:
    """Return ranges, packed codes and grid of a layer; nothing where it is not quantized."""
    if layer.ranges is None:
        return {}
    parts = {
        f"{part}.{key}": value
        for part, ranges in layer.list_ranges().items()
        for key, value in ranges.state_dict().items()
    }
    stored = _stored(layer, layer.ranges)
    parts |= stored | {"codes": pack(stored["codes"], layer.ranges.bits)}
    return {f"{name}/{key}": value for key, value in parts.items()}


@torch.no_grad()
def _stored(layer: RoundedWeight, ranges: WeightRanges) -> Tensors:
    return ranges.stored(split(layer.unrounded(), layer.num_groups))
