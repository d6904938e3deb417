"""Transformers' caches with rounding in them. Start with `convert` and `pass_through`.

What a cache keeps stays as it was rounded when it was put in. Which layer of a model rounds what is
told by `kv_cache`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from engine.errors import SpecError
from engine.layers.rounded_weight import RoundedWeight
from engine.quant.dynamic import round_min_max

FIELD = "quantizer.cache.rounding"
CacheLayer = type[Any]
"""A class of Transformers that keeps the keys and values of one block."""


@dataclass(frozen=True)
class Rounding:
    """Rounds one block's keys and values; a copy of a cache rounds by the same layer."""

    layer: RoundedWeight
    dims: tuple[int, ...]

    def __call__(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Round (B, H, T, D) keys and values to the width of the moment."""
        bits = self.layer.cache_bits
        return round_min_max(keys, bits, self.dims), round_min_max(values, bits, self.dims)

    def __deepcopy__(self, memo: Any) -> Rounding:
        """Weights are not copied with a cache."""
        del memo
        return self


class RoundingLayer(DynamicLayer):
    """Keeps every token's rounded keys and values of one block."""

    def __init__(self, rounding: Rounding) -> None:
        super().__init__()
        self.rounding = rounding

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **given: Any
    ) -> tuple[Tensor, Tensor]:
        """Round and keep new (B, H, T, D) keys and values; return all that are kept."""
        rounded = self.rounding(key_states, value_states)
        return super().update(*rounded, *args, **given)


class RoundingWindowLayer(DynamicSlidingWindowLayer):
    """Keeps the rounded keys and values of the last tokens of one block."""

    rounding: Rounding

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **given: Any
    ) -> tuple[Tensor, Tensor]:
        """Round and keep new (B, H, T, D) keys and values; return those within reach."""
        rounded = self.rounding(key_states, value_states)
        return super().update(*rounded, *args, **given)


class PassingLayer(DynamicLayer):
    """Rounds what passes and keeps nothing."""

    def __init__(self, rounding: Rounding, kind: CacheLayer) -> None:
        super().__init__()
        self.rounding = rounding
        self.is_sliding = kind.is_sliding

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **given: Any
    ) -> tuple[Tensor, Tensor]:
        """Return new (B, H, T, D) keys and values, rounded."""
        del args, given
        return self.rounding(key_states, value_states)


class PassingCache(Cache):
    """What stands in for a cache where none is asked for."""


KEEPING: Mapping[CacheLayer, CacheLayer] = MappingProxyType(
    {
        DynamicLayer: RoundingLayer,
        DynamicSlidingWindowLayer: RoundingWindowLayer,
        RoundingLayer: RoundingLayer,
        RoundingWindowLayer: RoundingWindowLayer,
    }
)
"""What each class that can be rounded becomes."""


def convert(cache: Any, roundings: Sequence[Rounding]) -> Cache:
    """Let a cache round what is put in from now on, in place; what it keeps stays.

    Args:
        cache: A dynamic cache, empty or not.
        roundings: Of every block.

    Raises:
        SpecError: When it is another kind of cache.
    """
    if isinstance(cache, PassingCache):
        return cache
    if not isinstance(cache, DynamicCache) or any(
        type(layer) not in KEEPING for layer in cache.layers
    ):
        raise SpecError.at(
            FIELD,
            f"a {type(cache).__name__} cannot be rounded; write with Transformers' dynamic cache, "
            "or use none",
        )
    while len(cache.layers) < len(roundings):  # it was made without a config
        cache.layers.append(DynamicLayer())
    cache.layers[:] = map(_keeping, cache.layers, roundings)
    return cache


def pass_through(roundings: Sequence[Rounding], kinds: Sequence[CacheLayer]) -> PassingCache:
    """Return a cache that rounds and keeps nothing.

    Args:
        roundings: Of every block.
        kinds: What would keep each block's keys and values.
    """
    return PassingCache(layers=list(map(PassingLayer, roundings, kinds)))


def _keeping(layer: Any, rounding: Rounding) -> Any:
    """Return a layer that keeps what this one keeps, and rounds."""
    kind = KEEPING[type(layer)]
    twin: Any = object.__new__(kind)
    vars(twin).update(vars(layer), rounding=rounding)
    return twin
