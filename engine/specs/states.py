"""How what flows through a model is rounded: inputs of layers, keys and values of the cache.

Always symmetric min-max, afresh for every token, so there is nothing to calibrate or train. A layer
at 16 bits is left out, inputs included, unless its line of a layer map gives them a width; keys and
values are none of a layer's own, so a width of theirs holds beside such layers too. A model at 16
bits everywhere is the original. Start with `InputsSpec` and `CacheSpec`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.specs.base import Spec, option

InputGranularity = Literal["token", "tensor"]
CacheGranularity = Literal["token", "head"]


def _fixed_bits() -> Any:
    return option(8, "Width", "Bits of each value.", unit="bits", ge=2, le=8)


def _input_granularity() -> Any:
    return option(
        "token",
        "Granularity",
        "How many values share a scale: those of a token, or of all tokens of a pass, with what "
        "short rows are filled up with; results then follow from how batches are cut, too.",
        advanced=True,
    )


def _cache_granularity() -> Any:
    return option(
        "token",
        "Granularity",
        "How many values share a scale: all heads of a token, or each head of a token its own.",
        advanced=True,
    )


class FloatInputs(Spec):
    """Inputs stay as they are."""

    rounding: Literal["none"] = option("none", "Inputs", "Leave the layers' inputs unrounded.")


class FixedInputs(Spec):
    """Inputs of one width, whatever that of the weights; those of layers at 16 bits stay."""

    rounding: Literal["fixed"] = option(
        "fixed",
        "Inputs",
        "Round the layers' inputs (activations) to a width of their own, but for layers at 16 bits "
        "without an A part in the layer map.",
    )
    bits: int = _fixed_bits()
    granularity: InputGranularity = _input_granularity()


class LayerInputs(Spec):
    """Inputs as wide as the layer's weights at the moment."""

    rounding: Literal["layer"] = option(
        "layer", "Inputs", "Round the layers' inputs (activations) to the width of their weights."
    )
    granularity: InputGranularity = _input_granularity()


class FloatCache(Spec):
    """Keys and values stay as they are."""

    rounding: Literal["none"] = option("none", "KV cache", "Leave keys and values unrounded.")


class FixedCache(Spec):
    """Keys and values of one width, also those that a layer at 16 bits makes."""

    rounding: Literal["fixed"] = option(
        "fixed",
        "KV cache",
        "Round keys and values to a width of their own, also those that a layer at 16 bits makes.",
    )
    bits: int = _fixed_bits()
    granularity: CacheGranularity = _cache_granularity()


class LayerCache(Spec):
    """Keys and values as wide as the weights of the layer that makes the keys."""

    rounding: Literal["layer"] = option(
        "layer",
        "KV cache",
        "Round keys and values to the width of the layer that makes the keys.",
    )
    granularity: CacheGranularity = _cache_granularity()


InputsSpec = Annotated[FloatInputs | FixedInputs | LayerInputs, Field(discriminator="rounding")]
CacheSpec = Annotated[FloatCache | FixedCache | LayerCache, Field(discriminator="rounding")]
