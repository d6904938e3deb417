"""The layer map a spec comes to on its model, told from shapes alone. No torch.

What the spec's patterns and rules say of each layer, written out by name. Start with
`build_spec_map`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import CheckpointError
from engine.estimates.selection import list_selected
from engine.layer_maps.layer_map import LayerMap, Rounding
from engine.models.naming import find_key_layers
from engine.models.shapes import ModelShapes
from engine.specs import FixedCache, LayerBitsMap, Subject, UniformMap
from engine.specs.layer_bits import UNROUNDED, LayerBits, find_bits
from engine.specs.quantizer import IntegerQuantizer, WeightQuantizer


def build_spec_map(
    spec: Subject,
    quantizer: WeightQuantizer,
    shapes: ModelShapes,
    *,
    widths: Mapping[str, int],
    wanted: UniformMap | LayerBitsMap | None = None,
) -> LayerMap:
    """Return the widths of every quantized layer, in the order of the shapes.

    Widths of inputs and cache stand where lines of a map give them, and only at layers that have
    inputs to round or make keys; elsewhere they follow the quantizer, whose own fields no map
    holds.

    Args:
        spec: A complete spec.
        quantizer: Its quantizer.
        shapes: The layers of its model.
        widths: Width of each layer where the bits are a fraction.
        wanted: The map of an evaluation; the run's own where None.

    Raises:
        CheckpointError: When the bits are a fraction and `widths` lacks a layer.
    """
    layers = list_selected(spec, shapes)
    key_layers = set(find_key_layers(layer.name for layer in layers).values())
    found: dict[str, LayerBits] = {}
    for layer in layers:
        own = _find_own(quantizer, layer.name, widths)
        bits = own if wanted is None else _find_wanted(quantizer, layer.name, wanted, own=own)
        found[layer.name] = bits._replace(
            inputs=None if layer.is_embedding else bits.inputs,
            cache=bits.cache if layer.name in key_layers else None,
        )
    return LayerMap(found, spec.model.source, find_rounding(quantizer))


def find_rounding(quantizer: WeightQuantizer) -> Rounding | None:
    """Return how weights share scales, for files that say so; None where levels are a table."""
    if not isinstance(quantizer, IntegerQuantizer):
        return None
    return Rounding(quantizer.shared_weights, is_symmetric=not quantizer.has_zero_points)


def _find_own(quantizer: WeightQuantizer, name: str, widths: Mapping[str, int]) -> LayerBits:
    """Return what a run's own scores are measured at."""
    if not quantizer.is_mixed:
        return find_bits(quantizer.layer_bits, name) or LayerBits(int(quantizer.bits))
    if name not in widths:
        raise CheckpointError(f"the widths that were chosen lack {name}")
    return LayerBits(widths[name])


def _find_wanted(
    quantizer: WeightQuantizer, name: str, wanted: UniformMap | LayerBitsMap, *, own: LayerBits
) -> LayerBits:
    """Return what a map of an evaluation gives a layer.

    Nothing at all is rounded at 16 bits everywhere; a line of 16 alone would leave a cache of fixed
    width rounded. A layer that was left at 16 bits stays there at every uniform width.
    """
    if isinstance(wanted, LayerBitsMap):
        return find_bits(wanted.layer_bits, name) or own
    if wanted.bits == UNROUNDED and isinstance(quantizer.cache, FixedCache):
        return LayerBits(UNROUNDED, cache=UNROUNDED)
    return LayerBits(UNROUNDED if own.weights == UNROUNDED else wanted.bits)
