"""Which layers a spec rounds and which get an adapter, told from shapes alone.

The same rules as the code that replaces layers: a tied head counts with its embedding, under the
embedding's name, and is selected where either name is; embeddings and tied heads get no adapter.
What a layer map leaves at 16 bits is not rounded, and gets an adapter all the same.
Start with `list_quantized`.
"""

from __future__ import annotations

from engine.layer_patterns import is_selected
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import FloatQuantizer, IntegerQuantizer, NoAdapter, QatTraining, Subject
from engine.specs.layer_bits import find_bits
from engine.specs.quantizer import BITS_UNQUANTIZED, DEFAULT_EXCLUDE


def list_selected(spec: Subject, shapes: ModelShapes) -> tuple[LayerShape, ...]:
    """Return the layers that are replaced by quantized ones, shared ones once.

    A layer map may leave the weights of some at 16 bits.
    """
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        return ()
    return tuple(
        layer
        for layer in shapes.own_layers
        if any(
            is_selected(name, quantizer.include, quantizer.exclude)
            for name in _names(layer, shapes)
        )
    )


def list_quantized(spec: Subject, shapes: ModelShapes) -> tuple[LayerShape, ...]:
    """Return the layers whose weights are rounded, shared ones once."""
    selected = list_selected(spec, shapes)
    lines = () if isinstance(spec.quantizer, FloatQuantizer) else spec.quantizer.layer_bits
    if not lines:
        return selected
    return tuple(
        layer
        for layer in selected
        if (found := find_bits(lines, layer.name)) is None or found.weights != BITS_UNQUANTIZED
    )


def list_adapted(spec: Subject, shapes: ModelShapes) -> tuple[LayerShape, ...]:
    """Return the layers that get a low-rank pair."""
    if isinstance(spec.adapter, NoAdapter):
        return ()
    candidates = list_selected(spec, shapes)
    exclude: tuple[str, ...] = ()
    if isinstance(spec.quantizer, FloatQuantizer):
        candidates, exclude = shapes.own_layers, DEFAULT_EXCLUDE
    return tuple(
        layer
        for layer in candidates
        if not layer.is_embedding
        and len(_names(layer, shapes)) == 1
        and is_selected(layer.name, spec.adapter.target_modules, exclude)
    )


def list_observed(spec: Subject, shapes: ModelShapes) -> dict[str, int]:
    """Return the inputs of each layer that a data-aware start collects moments of, by name."""
    layers = list_quantized(spec, shapes)
    return {layer.name: layer.in_features for layer in layers if not layer.is_embedding}


def learns_from_weights(spec: Subject) -> bool:
    """Whether training needs the gradient of rounded weights: for ranges or absorbed adapters."""
    if not isinstance(spec.training, QatTraining):
        return False
    is_absorbed = not isinstance(spec.adapter, NoAdapter) and spec.adapter.placement == "absorbed"
    return is_absorbed or isinstance(spec.quantizer, IntegerQuantizer)


def _names(layer: LayerShape, shapes: ModelShapes) -> tuple[str, ...]:
    """Return the layer's name, and the tied head's where they share their weights."""
    if not shapes.tied or layer.name != shapes.table_name:
        return (layer.name,)
    own = {each.name for each in shapes.own_layers}
    return (layer.name, *(head.name for head in shapes.layers if head.name not in own))
