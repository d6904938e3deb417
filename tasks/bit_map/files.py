"""Layer maps as files, read for a map's layers and written from its widths.

Which layer has which width is all that is taken: inputs and caches follow the quantizer here. A map
that names another model is taken where its layers fit, and that is said.
Start with `read_file` and `write_file`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.errors import SpecError
from engine.layer_maps.layer_map import FormatName, LayerMap
from engine.layer_maps.reading import read_map, write_map
from engine.spec_map import find_rounding
from engine.specs.layer_bits import LayerBits, find_bits, list_named
from tasks.bit_map.content import Content
from tasks.bit_map.ground import Ground


@dataclass(frozen=True)
class FileWidths:
    """What a file says: width by layer, and what of it has no place in a map."""

    widths: Mapping[int, int]
    note: str = ""


def read_file(text: str | bytes, ground: Ground, *, name: str = "", field: str) -> FileWidths:
    """Return the widths that a layer map of any known format gives the layers of a map.

    Raises:
        SpecError: At the field: it is no layer map, or names a layer that is not there; then it is
            another model's, and the sentence says whose.
    """
    return place_map(read_map(text, name=name, field=field), ground, name=name, field=field)


def place_map(layer_map: LayerMap, ground: Ground, *, name: str = "", field: str) -> FileWidths:
    """Return the widths that a layer map gives the layers of a map.

    Raises:
        SpecError: At the field, where it names a layer that is not there.
    """
    for pattern in layer_map.layers:
        if pattern not in ground.places and not list_named(ground.names, pattern):
            made = f", made for {layer_map.model}," if layer_map.model else ""
            raise SpecError.at(
                field,
                f"{name or 'the layer map'}{made} names {pattern}, and "
                f"{ground.spec.model.source} has no such quantized layer; its layers are named "
                f"like {ground.names[0]}",
            )
    lines = layer_map.lines
    found = {place: find_bits(lines, name) for name, place in ground.places.items()}
    widths = {place: bits.weights for place, bits in found.items() if bits is not None}
    return FileWidths(widths, " ".join(_list_notes(layer_map, ground, name)))


def _list_notes(layer_map: LayerMap, ground: Ground, name: str) -> Iterator[str]:
    """Yield what a person should know of a map that was taken."""
    source = ground.spec.model.source
    if layer_map.model and layer_map.model != source:
        yield (
            f"Widths were taken from {name or 'the layer map'}, made for {layer_map.model}, as "
            f"{source} has all its layers."
        )
    if any(each.inputs or each.cache for each in layer_map.layers.values()):
        yield (
            "Widths of inputs and caches follow the quantizer here; those of the file were left "
            "out."
        )


def write_file(content: Content, ground: Ground, format_name: FormatName) -> str:
    """Return the widths of a map as the text of a file.

    Raises:
        SpecError: At "format", where it cannot hold the map.
    """
    return write_map(build_layer_map(content, ground), format_name=format_name)


def build_layer_map(content: Content, ground: Ground) -> LayerMap:
    """Return the widths of a map by layer."""
    layers = {
        name: LayerBits(bits) for name, bits in zip(ground.names, content.widths, strict=True)
    }
    return LayerMap(layers, ground.spec.model.source, find_rounding(ground.quantizer))
