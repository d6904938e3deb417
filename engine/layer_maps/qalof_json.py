"""QaLoF's layer maps: one JSON object, layer to width. Start with `QALOF`.

    {"transformer.h.0.attn.c_attn": 8, "transformer.h.0.mlp.c_proj": 4}

There a width holds for weights, inputs and cache at once; here for the weights, and the others
follow where `quantizer.inputs` and `quantizer.cache` are "layer". Published maps name GPT-2's
layers and give 4 or 8; other names and every width of ours are read and written as well. What has
no place in the format (wildcards, inputs or a cache of another width) is refused rather than lost.
"""

from __future__ import annotations

import json

from engine.layer_maps.layer_map import (
    Document,
    LayerMap,
    MapFormat,
    read_layers,
    refuse_pattern,
)
from engine.specs.layer_bits import LayerBits


def _recognizes(document: Document) -> bool:
    """Every value is a number; anything else is no map of QaLoF's."""
    return bool(document) and all(
        isinstance(value, int) and not isinstance(value, bool) for value in document.values()
    )


def _read(document: Document) -> LayerMap:
    return LayerMap(read_layers(document))


def _write(layer_map: LayerMap) -> str:
    layers = {name: _width(name, bits) for name, bits in layer_map.layers.items()}
    return json.dumps(layers, indent=2, ensure_ascii=False) + "\n"


def _width(name: str, bits: LayerBits) -> int:
    refuse_pattern(name)
    others = {width for width in (bits.inputs, bits.cache) if width is not None}
    if others - {bits.weights}:
        raise ValueError(
            f"cannot give {name} inputs or a cache of another width than its weights; write "
            "Bitdial's own format"
        )
    return bits.weights


QALOF = MapFormat(
    name="qalof",
    title="QaLoF's JSON object of layer names and widths",
    suffix=".json",
    recognizes=_recognizes,
    read=_read,
    write=_write,
)
