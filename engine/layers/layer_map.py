"""The one operation on a whole model: apply a layer map. Start with `bypassed` and `held`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch

from engine.errors import SpecError
from engine.layers.rounded_weight import RoundedWeight
from engine.specs.quantizer import BITS_UNQUANTIZED


class LayerSetting(NamedTuple):
    """Width and rank of one layer; 16 bits and rank 0 are the original."""

    bits: int
    rank: int


def read_map(layers: Mapping[str, RoundedWeight]) -> dict[str, LayerSetting]:
    """Return every layer's current setting."""
    return {
        name: LayerSetting(layer.active_bits, layer.active_rank) for name, layer in layers.items()
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
    _set(layers, dict.fromkeys(layers, LayerSetting(BITS_UNQUANTIZED, 0)))
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


def _set(layers: Mapping[str, RoundedWeight], settings: Mapping[str, LayerSetting]) -> None:
    for name, setting in settings.items():
        layers[name].set_bits(setting.bits)
        layers[name].set_rank(setting.rank)
        layers[name].release()
