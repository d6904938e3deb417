"""Whether lines of a layer map name layers of a model, and whether its cache can be rounded.

A part of `layer_fit`, told from shapes alone, no torch. Start with `iter_line_problems`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.errors import Problem, SpecError
from engine.estimates.selection import list_selected
from engine.models.naming import KEY_KINDS, find_key_layers, split_name
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import FloatCache, FloatQuantizer, LayerBitsMap, MapEvaluationSpec, Subject
from engine.specs.layer_bits import (
    UNROUNDED,
    check_named,
    is_cache_rounded,
    list_named,
    read_layer_bits,
)

OWN_LINES = "quantizer.layer_bits"
MAPS = "maps"
CACHE = "quantizer.cache.rounding"


def iter_line_problems(spec: Subject, shapes: ModelShapes) -> Iterator[Problem]:
    """Yield where a line gives a width to what is not there, or to what has no such part."""
    layers = list_selected(spec, shapes)
    for field, label, lines in _iter_lines(spec):
        try:
            check_named(lines, [layer.name for layer in layers], field=field)
        except SpecError as error:
            yield from (Problem(field, f"{label}{each.message}") for each in error.problems)
            continue
        for line in lines:
            problem = _find_part_problem(line, layers)
            if problem is not None:
                yield Problem(field, f"{label}{problem}")


def iter_cache_problems(spec: Subject, shapes: ModelShapes) -> Iterator[Problem]:
    """Yield what keeps the keys and values of a model from being rounded, where that is asked."""
    field = _find_asking(spec)
    if field is None or spec.model.head == "seq2seq":  # two stacks are refused without any shapes
        return
    remedy = "use none" if field == CACHE else "leave the KV parts out"
    if shapes.build != "decoder":
        yield Problem(field, f"an {shapes.build} keeps no keys and values; {remedy}")
        return
    keys = find_key_layers(layer.name for layer in shapes.layers)
    selected = {layer.name for layer in list_selected(spec, shapes)}
    for block in _list_blocks(shapes.layers):
        name = keys.get(block)
        if name is None:
            yield Problem(
                field,
                f"which layer makes the keys of block {block} is not known (none is called "
                f"{', '.join(KEY_KINDS)}); {remedy}",
            )
            return
        if name not in selected:
            yield Problem(
                field, f"{name} makes the keys and is not quantized; include it, or {remedy}"
            )
            return


def _find_part_problem(line: str, layers: Collection[LayerShape]) -> str | None:
    """Return what is wrong with a line whose layers lack a part it gives a width."""
    pattern, _, text = line.rpartition("=")
    bits = read_layer_bits(text)
    names = set(list_named((layer.name for layer in layers), pattern))
    named = [layer for layer in layers if layer.name in names]
    if bits.inputs not in (None, UNROUNDED) and all(layer.is_embedding for layer in named):
        return f"{pattern} is looked up in and has no inputs to round; leave the A part out"
    keys = find_key_layers(layer.name for layer in layers)
    if not is_cache_rounded(line) or not keys:
        return None
    if any(layer.name in keys.values() for layer in named):
        return None
    example = next(iter(keys.values()))
    return (
        f"{pattern} has a width for keys and values and makes none; give it to a layer that does, "
        f"such as {example}, or leave the KV part out"
    )


def _find_asking(spec: Subject) -> str | None:
    """Return the field that asks for a rounded cache; None where none does."""
    if isinstance(spec.quantizer, FloatQuantizer):
        return None
    if not isinstance(spec.quantizer.cache, FloatCache):
        return CACHE
    for field, _, lines in _iter_lines(spec):
        if any(map(is_cache_rounded, lines)):
            return field
    return None


def _iter_lines(spec: Subject) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the field of a layer map, what its problems begin with, and its lines."""
    if isinstance(spec, MapEvaluationSpec):  # those of the training run have been accepted
        for each in spec.maps:
            if isinstance(each, LayerBitsMap):
                yield MAPS, f"in {each.label}, ", each.layer_bits
    elif not isinstance(spec.quantizer, FloatQuantizer):
        yield OWN_LINES, "", spec.quantizer.layer_bits


def _list_blocks(layers: Collection[LayerShape]) -> list[int]:
    places = (split_name(layer.name) for layer in layers)
    return sorted({place.block for place in places if place.block is not None})
