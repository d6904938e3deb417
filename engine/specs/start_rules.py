"""Rules between the initialization and the other axes. Start with `iter_start_conflicts`."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Problem
from engine.specs.adapter import LoraAdapter, NoAdapter
from engine.specs.initialization import AdapterFolder, DataAware, LoftQ, RoundToNearest
from engine.specs.quantizer import BySensitivity, FloatQuantizer
from engine.specs.subject import Subject


def fills_adapters(spec: Subject) -> bool:
    """Whether adapters hold something before any training."""
    start = spec.initialization
    if isinstance(start, DataAware) and not isinstance(spec.adapter, NoAdapter):
        return spec.adapter.placement == "parallel"
    return isinstance(start, LoftQ | AdapterFolder)


def iter_start_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what is senseless in the initialization, each with what would be accepted."""
    start = spec.initialization
    if isinstance(start, LoftQ):
        yield from _iter_loftq_conflicts(spec)
    elif isinstance(start, AdapterFolder):
        if not isinstance(spec.adapter, LoraAdapter):
            yield Problem(
                "initialization.method",
                "an adapter folder needs an adapter to put it into; choose adapter.kind lora",
            )
        if not start.path:
            yield Problem(
                "initialization.path",
                "is empty; give a folder with adapter_config.json and adapter_model.safetensors",
            )
    elif isinstance(spec.quantizer, FloatQuantizer) and not isinstance(start, RoundToNearest):
        yield Problem(
            "initialization.method",
            "a 16-bit model has no ranges to choose; use round-to-nearest, or quantizer.grid "
            "integer",
        )
    if isinstance(spec.quantizer, FloatQuantizer) or not spec.quantizer.is_mixed:
        return
    if isinstance(spec.quantizer.mixing, BySensitivity) and spec.model.head != "causal-lm":
        yield Problem(
            "quantizer.mixing.rule",
            "sensitivity is measured by the loss of a causal language model; use first-layers, or "
            "a whole number of bits",
        )


def _iter_loftq_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what LoftQ cannot start from: it needs something lost and something to hold it."""
    if isinstance(spec.quantizer, FloatQuantizer):
        yield Problem(
            "initialization.method",
            "a 16-bit model loses nothing that LoftQ could make up for; use round-to-nearest, or "
            "quantizer.grid normal-float or integer",
        )
    elif isinstance(spec.adapter, NoAdapter):
        yield Problem(
            "initialization.method",
            "LoftQ puts into adapters what rounding lost, and there are none; choose adapter.kind "
            "lora or elastic-lora with adapter.placement parallel, or round-to-nearest",
        )
    elif spec.adapter.placement == "absorbed":
        yield Problem(
            "adapter.placement",
            "what LoftQ puts into an absorbed adapter would be rounded away again; choose "
            "parallel, or initialization.method data-aware",
        )
