"""Bitdial's own format: YAML (or JSON) that says what it is. Start with `BITDIAL`.

format: bitdial-layer-map-1
model: openai-community/gpt2
layers:
  transformer.h.0.attn.c_attn: W4A8KV4
  '*.mlp.*': 8
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import yaml

from engine.layer_maps.layer_map import Document, LayerMap, MapFormat, read_layers
from engine.specs.layer_bits import LayerBits, write_layer_bits

FORMAT: Final = "bitdial-layer-map-1"
_KEYS = ("format", "model", "layers")
_MAX_MODEL = 1000


def _recognizes(document: Document) -> bool:
    """Whatever says a format or lists layers; settings of other tools may as well."""
    is_other = "config_groups" in document or "quantization_config" in document
    return not is_other and ("format" in document or "layers" in document)


def _read(document: Document) -> LayerMap:
    if document.get("format") != FORMAT:
        raise ValueError(f"says format {str(document.get('format'))[:60]!r}; known is {FORMAT}")
    unknown = next((key for key in document if key not in _KEYS), None)
    if unknown is not None:
        raise ValueError(f"has {str(unknown)[:60]!r}, which is none of {', '.join(_KEYS)}")
    model, layers = document.get("model") or "", document.get("layers")
    if not isinstance(model, str) or not model.isprintable() or len(model) > _MAX_MODEL:
        raise ValueError(
            "has a model that is not one line of text; give its hub id or leave it out"
        )
    if not isinstance(layers, Mapping):
        raise ValueError("has no layers; write one NAME: WIDTH per line under 'layers:'")
    return LayerMap(read_layers(layers), model)


def _write(layer_map: LayerMap) -> str:
    layers = {name: _plain(bits) for name, bits in layer_map.layers.items()}
    model = {"model": layer_map.model} if layer_map.model else {}
    values = {"format": FORMAT, **model, "layers": layers}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _plain(bits: LayerBits) -> int | str:
    """A width of weights alone is a number, so that it stands without quotes."""
    text = write_layer_bits(bits)
    return int(text) if text.isdigit() else text


BITDIAL = MapFormat(
    name="bitdial",
    title=f"Bitdial's layer map ({FORMAT})",
    suffix=".yaml",
    recognizes=_recognizes,
    read=_read,
    write=_write,
)
