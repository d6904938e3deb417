"""Keys and values rounded wherever a decoder's attention reads them. Start with `install_cache`.

Attention reads what `Cache.update` returns, so the rounding lies in the cache (`rounding_cache`):
in the one that keeps what was written, and in one that stands in where nothing is kept (training,
scoring). The width of a block is that of the layer that makes its keys (`RoundedWeight.cache_bits`)
at the moment of the update.

Source: symmetric min-max for each token's keys and values, as LLM-QAT (Liu et al. 2023,
arXiv:2305.17888) and QaLoF have it. QaLoF rounds what GPT-2's projection puts out; here what is
cached is rounded, which is the same for GPT-2, and for models with rotary positions the keys after
the rotation, since these stay in memory. A scale for each head of a token is a choice of ours.

Encoders, encoder-decoders and models whose blocks keep anything else are refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.utils import ModelOutput

from engine.errors import SpecError
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.rounding_cache import (
    FIELD,
    KEEPING,
    CacheLayer,
    PassingCache,
    Rounding,
    convert,
    pass_through,
)
from engine.models.families import find_build
from engine.models.naming import KEY_KINDS, find_key_layers
from engine.specs.quantizer import BITS_UNQUANTIZED
from engine.specs.states import CacheGranularity

GIVEN = "past_key_values"
NO_CACHE = "gradient_checkpointing"
SHARED: Mapping[CacheGranularity, tuple[int, ...]] = MappingProxyType(
    {"token": (-3, -1), "head": (-1,)}
)
"""Dimensions of keys and values (B, H, T, D) that share a scale."""


@dataclass(frozen=True)
class CacheRounding:
    """The rounding of a model's cache, to be taken out again."""

    handles: tuple[RemovableHandle, ...]

    def remove(self) -> None:
        """Leave keys and values unrounded from now on; caches that were made stay as they are."""
        for handle in self.handles:
            handle.remove()


def install_cache(
    model: PreTrainedModel, layers: Mapping[str, RoundedWeight], granularity: CacheGranularity
) -> CacheRounding:
    """Let a model round its keys and values to its layers' `cache_bits`; in place.

    Whatever runs its body is reached: training, scoring, writing, any head. At 16 bits nothing is
    changed and nothing is computed.

    Args:
        model: A decoder of Transformers with any head.
        layers: Its rounded layers by name.
        granularity: What shares a scale: all heads of a token, or each head of a token.

    Raises:
        SpecError: At `quantizer.cache.rounding`, when the model keeps no such cache, or the layer
            that makes a block's keys is not quantized.
    """
    body = model.base_model
    kinds = _list_kinds(model, body)
    keys = _find_keys(model, layers, len(kinds))
    before = _PutIn(keys, kinds, SHARED[granularity])
    return CacheRounding(
        (
            body.register_forward_pre_hook(before, with_kwargs=True),
            body.register_forward_hook(_take_out),
        )
    )


def _list_kinds(model: PreTrainedModel, body: nn.Module) -> tuple[CacheLayer, ...]:
    """Return the kind of cache that each block of a model keeps."""
    config = model.config
    build = find_build(config.to_dict())
    if build != "decoder":
        raise SpecError.at(
            FIELD, f"{type(body).__name__} is an {build}, without the cache of a decoder; use none"
        )
    if GIVEN not in inspect.signature(body.forward).parameters:
        raise SpecError.at(
            FIELD, f"{type(body).__name__} takes no cache of Transformers'; use none"
        )
    kinds = tuple(type(layer) for layer in _empty_cache(body).layers)
    other = next((kind for kind in kinds if kind not in KEEPING), None)
    if other is not None:
        raise SpecError.at(
            FIELD,
            f"a block of {type(body).__name__} keeps a {other.__name__}, not just keys and values "
            "of its own; use none",
        )
    return kinds


def _find_keys(
    model: PreTrainedModel, layers: Mapping[str, RoundedWeight], num_blocks: int
) -> dict[int, RoundedWeight]:
    """Return the layer that makes the keys of each block."""
    there = find_key_layers(name for name, _ in model.named_modules())
    found = {}
    for block in range(num_blocks):
        name = there.get(block)
        if name is None:
            raise SpecError.at(
                FIELD,
                f"which layer makes the keys of block {block} is not known (none is called "
                f"{', '.join(KEY_KINDS)}); use none",
            )
        if name not in layers:
            raise SpecError.at(
                FIELD, f"{name} makes the keys and is not quantized; include it, or use none"
            )
        found[block] = layers[name]
    return found


def _empty_cache(body: Any) -> DynamicCache:
    return DynamicCache(config=body.config.get_text_config(decoder=True))


@dataclass(frozen=True)
class _PutIn:
    """Before a forward pass: lets attention read rounded keys and values."""

    keys: Mapping[int, RoundedWeight]
    kinds: tuple[CacheLayer, ...]
    dims: tuple[int, ...]

    def __call__(
        self, body: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if all(layer.cache_bits == BITS_UNQUANTIZED for layer in self.keys.values()):
            return None
        _check_checkpointing(body)
        named = {**_name(body, args), **given}
        return (), {**named, GIVEN: self._choose(body, named)}

    def _choose(self, body: nn.Module, given: Mapping[str, Any]) -> Cache:
        cache = given.get(GIVEN)
        if cache is not None:
            return convert(cache, self._roundings())
        keeps = given.get("use_cache")
        if getattr(body.config, "use_cache", True) if keeps is None else keeps:
            return convert(_empty_cache(body), self._roundings())
        return pass_through(self._roundings(), self.kinds)

    def _roundings(self) -> list[Rounding]:
        return [Rounding(self.keys[block], self.dims) for block in range(len(self.kinds))]


def _take_out(body: nn.Module, args: Any, output: Any) -> Any:
    """Hand nobody a cache that was not asked for."""
    del body, args
    if isinstance(output, ModelOutput) and isinstance(output.get(GIVEN), PassingCache):
        return type(output)(**{name: each for name, each in output.items() if name != GIVEN})
    if isinstance(output, tuple):
        return tuple(each for each in output if not isinstance(each, PassingCache))
    return output


def _name(body: nn.Module, args: tuple[Any, ...]) -> dict[str, Any]:
    """Return what was given by place, by name."""
    if not args:
        return {}
    return dict(zip(inspect.signature(body.forward).parameters, args, strict=False))


def _check_checkpointing(body: nn.Module) -> None:
    """Refuse recomputed blocks: Transformers takes their cache away, and rounding with it."""
    if body.training and any(getattr(each, NO_CACHE, False) for each in body.modules()):
        raise SpecError.at(
            FIELD, "keys and values of recomputed blocks cannot be rounded; use none"
        )
