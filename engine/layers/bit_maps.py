"""From widths to layer maps: one width everywhere, or lines that give layers their own.

Inputs and cache come out by the quantizer's rules: none, a width of their own, or that of the
weights. Where a layer's weights are at 16 bits its inputs stay unrounded unless a line gives them a
width; a width of its own that the cache has, which is not the layer's weights, holds there as well.
Only a uniform map of 16 bits, the original, rounds no cache either. Ranks are left as they are.
Start with `uniform_map` and `named_map`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.layers.layer_map import LayerSetting
from engine.layers.rounded_weight import RoundedWeight
from engine.specs.layer_bits import LayerBits, check_named, find_bits, is_cache_rounded
from engine.specs.quantizer import (
    BITS_UNQUANTIZED,
    FloatQuantizer,
    QuantizerSpec,
    WeightQuantizer,
)
from engine.specs.states import FixedCache, FixedInputs, FloatCache, LayerCache, LayerInputs

Layers = Mapping[str, RoundedWeight]
UNROUNDED = LayerSetting(BITS_UNQUANTIZED, inputs=BITS_UNQUANTIZED, cache=BITS_UNQUANTIZED)


def uniform_map(layers: Layers, bits: int, quantizer: QuantizerSpec) -> dict[str, LayerSetting]:
    """Return the setting of every layer at one width; 16 leaves all parts unrounded.

    Layers that cannot be rounded stay at 16.
    """
    if bits == BITS_UNQUANTIZED:
        return dict.fromkeys(layers, UNROUNDED)
    return {
        name: setting_at(LayerBits(bits if layer.ranges is not None else 16), quantizer)
        for name, layer in layers.items()
    }


def own_map(layers: Layers, quantizer: QuantizerSpec) -> dict[str, LayerSetting]:
    """Return the setting of every layer that a run's own scores are measured at."""
    lines = () if isinstance(quantizer, FloatQuantizer) else quantizer.layer_bits
    return _written_map(layers, lines, quantizer)


def named_map(
    layers: Layers, lines: Iterable[str], quantizer: WeightQuantizer, *, field: str
) -> dict[str, LayerSetting]:
    """Return the setting of every layer by lines of a layer map.

    Args:
        layers: The model's.
        lines: PATTERN=WIDTHS each; the last that matches a layer counts. Layers that none names get
            their own width.
        quantizer: What the layers were put in with.
        field: Where the lines were asked for.

    Raises:
        SpecError: At `field`, when a line names no layer.
    """
    lines = tuple(lines)
    check_named(lines, layers, field=field)
    own = quantizer.layer_bits
    return _written_map(layers, (*own, *lines), quantizer)


def setting_at(bits: LayerBits, quantizer: QuantizerSpec) -> LayerSetting:
    """Return a layer's setting; what `bits` leaves open follows the quantizer."""
    inputs, cache = bits.inputs, bits.cache
    return LayerSetting(
        bits.weights,
        inputs=_inputs_at(bits.weights, quantizer) if inputs is None else inputs,
        cache=_cache_at(bits.weights, quantizer) if cache is None else cache,
    )


def mean_bits(layers: Layers) -> float:
    """Return the mean width over the weights of all layers, as they are set."""
    total = sum(layer.weight.numel() for layer in layers.values())
    bits = sum(layer.active_bits * layer.weight.numel() for layer in layers.values())
    return bits / total if total else float(BITS_UNQUANTIZED)


def rounds_cache(quantizer: QuantizerSpec, lines: Iterable[str] = ()) -> bool:
    """Whether keys and values are rounded anywhere, by the quantizer or by lines of a layer map."""
    if isinstance(quantizer, FloatQuantizer):
        return False
    written = (*quantizer.layer_bits, *lines)
    by_line = any(map(is_cache_rounded, written))
    return by_line or not isinstance(quantizer.cache, FloatCache)


def _written_map(
    layers: Layers, lines: tuple[str, ...], quantizer: QuantizerSpec
) -> dict[str, LayerSetting]:
    """Return each layer's setting by the last line that matches, by its own width without one."""
    return {
        name: setting_at(find_bits(lines, name) or LayerBits(layer.own_bits), quantizer)
        for name, layer in layers.items()
    }


def _inputs_at(width: int, quantizer: QuantizerSpec) -> int:
    spec = getattr(quantizer, "inputs", None)
    if isinstance(spec, FixedInputs) and width != BITS_UNQUANTIZED:
        return spec.bits
    return width if isinstance(spec, LayerInputs) else BITS_UNQUANTIZED


def _cache_at(width: int, quantizer: QuantizerSpec) -> int:
    spec = getattr(quantizer, "cache", None)
    if isinstance(spec, FixedCache):
        return spec.bits
    return width if isinstance(spec, LayerCache) else BITS_UNQUANTIZED
