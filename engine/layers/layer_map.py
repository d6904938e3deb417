"""The one operation on a whole model: apply a layer map.

A map is made in `bit_maps` (widths) or `rank_groups` (ranks). Start with `apply_map`; `bypassed`,
`held` and `keeping` are for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch

from engine.errors import SpecError
from engine.layers.rounded_weight import RoundedWeight
from engine.specs.quantizer import BITS_UNQUANTIZED


class LayerSetting(NamedTuple):
    """What one layer is set to; None leaves a part as it is.

    16 bits everywhere and rank 0 are the original.

    Attributes:
        bits: Width of the weight.
        rank: Active rank of the adapter.
        inputs: Width of the layer's inputs.
        cache: Width of its block's keys and values, where the layer makes the keys.
    """

    bits: int | None = None
    rank: int | None = None
    inputs: int | None = None
    cache: int | None = None


ORIGINAL = LayerSetting(BITS_UNQUANTIZED, 0, BITS_UNQUANTIZED, BITS_UNQUANTIZED)
"""The layer as it was before it was replaced."""


def read_map(layers: Mapping[str, RoundedWeight]) -> dict[str, LayerSetting]:
    """Return every layer's current setting."""
    return {
        name: LayerSetting(
            layer.active_bits, layer.active_rank, layer.active_inputs, layer.cache_bits
        )
        for name, layer in layers.items()
    }


def apply_map(layers: Mapping[str, RoundedWeight], settings: Mapping[str, LayerSetting]) -> None:
    """Set the named layers; copies no weight. What was held of them is forgotten.

    Raises:
        SpecError: When a name is unknown or a setting is not available; nothing is changed then.
    """
    unknown = next((name for name in settings if name not in layers), None)
    if unknown is not None:
        raise SpecError.at(unknown, "there is no quantized layer of that name")
    before = read_map(layers)
    try:
        _set(layers, settings)
    except SpecError:
        _set(layers, before)
        raise


@contextmanager
def bypassed(layers: Mapping[str, RoundedWeight]) -> Iterator[None]:
    """Make the model its own 16-bit teacher for a while; what was held comes back after."""
    before = read_map(layers)
    held = {name: layer.held for name, layer in layers.items()}
    _set(layers, dict.fromkeys(layers, ORIGINAL))
    try:
        yield
    finally:
        _set(layers, before)
        for name, layer in layers.items():
            layer.held = held[name]


@contextmanager
def held(layers: Mapping[str, RoundedWeight], dtype: torch.dtype) -> Iterator[None]:
    """Compute every rounded weight once for a while, for evaluation; no gradients."""
    for layer in layers.values():
        layer.hold(dtype, trains=False)
    try:
        yield
    finally:
        for layer in layers.values():
            layer.release()


@contextmanager
def keeping(layers: Mapping[str, RoundedWeight]) -> Iterator[None]:
    """Keep what `hold` computes, by width and rank, so that going back to one costs nothing.

    For as long as nothing that is rounded changes: weights that train are never kept. Each width
    that comes up takes the memory of the weights once more.
    """
    for layer in layers.values():
        layer.kept = {}
    try:
        yield
    finally:
        for layer in layers.values():
            layer.kept = None


def _set(layers: Mapping[str, RoundedWeight], settings: Mapping[str, LayerSetting]) -> None:
    for name, (bits, rank, inputs, cache) in settings.items():
        layer = layers[name]
        if bits is not None:
            layer.set_bits(bits)
        if rank is not None:
            layer.set_rank(rank)
        if inputs is not None:
            layer.set_inputs(inputs)
        if cache is not None:
            layer.set_cache(cache)
        layer.release()
