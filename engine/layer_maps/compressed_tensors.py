"""The groups of a compressed-tensors configuration. Start with `COMPRESSED_TENSORS`.

    {"config_groups": {"group_0": {"targets": ["re:.*q_proj"], "weights": {"num_bits": 4,
     "type": "int", "symmetric": false, "strategy": "group", "group_size": 64}}}, "ignore": [...]}

As vLLM loads them: a layer belongs to the group that names it, then to one whose expression its
name begins with, then to one of its class (of which "Linear" is understood); of several of a kind
the first counts. What is ignored keeps 16 bits. Scales are the quantizer's business here: a group
size that is read is kept beside the map, and written are those the map was made for, or Bitdial's
defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.layer_maps.layer_map import (
    Document,
    LayerMap,
    MapFormat,
    Rounding,
    read_layers,
    spell_weights,
)
from engine.layer_maps.plain_regex import Spellings, spell_all
from engine.specs.layer_bits import UNROUNDED, LayerBits, write_layer_bits
from engine.specs.quantizer import DEFAULT_EXCLUDE, IntegerQuantizer
from engine.specs.wildcards import matches

GROUPS, IGNORE = "config_groups", "ignore"
_CONFIG = "quantization_config"
_EXPRESSION = "re:"
_EVERYTHING = "Linear"
_DEFAULT = Rounding(IntegerQuantizer().shared_weights, is_symmetric=False)


def _recognizes(document: Document) -> bool:
    return GROUPS in document or _CONFIG in document


def _read(document: Document) -> LayerMap:
    config = document.get(_CONFIG, document)
    groups = config.get(GROUPS) if isinstance(config, Mapping) else None
    if not isinstance(groups, Mapping) or not all(
        isinstance(each, Mapping) for each in groups.values()
    ):
        raise ValueError(f"has no {GROUPS}; write one group for each width, with its targets")
    if config.get("kv_cache_scheme"):
        raise ValueError("rounds the cache; leave kv_cache_scheme out and set it in the quantizer")
    lines = [
        (target, bits)
        for name, group in groups.items()
        for bits in [_read_bits(str(name)[:60], group)]
        for target in _read_names(group.get("targets"), f"targets of {str(name)[:60]}")
    ]
    layers = _order(lines)
    for names in _spell(_read_names(config.get(IGNORE) or [], IGNORE)):
        for name in filter(_is_asked, names):
            layers.pop(name, None)
            layers[name] = str(UNROUNDED)
    return LayerMap(read_layers(layers), rounding=_read_rounding(list(groups.values())))


def _order(lines: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Put what counts most last: classes, then expressions, then names; of each the first last."""
    found: dict[str, str] = {}
    ranked = [*reversed(lines)]
    ranked.sort(key=lambda line: _rank(line[0]))
    spelled = _spell([target for target, _ in ranked])
    for (_, bits), names in zip(ranked, spelled, strict=True):
        for name in names:
            found.pop(name, None)
            found[name] = bits
    return found


def _rank(target: str) -> int:
    if target.startswith(_EXPRESSION):
        return 1
    return 0 if target[:1].isupper() else 2


def _spell(targets: Sequence[str]) -> list[list[str]]:
    """Return each target as patterns of a layer map."""
    expressions = [target for target in targets if _rank(target) == 1]
    spelled = iter(spell_all(each.removeprefix(_EXPRESSION) for each in expressions))
    return [
        _open_end(next(spelled)) if _rank(target) == 1 else [_name_class(target)]
        for target in targets
    ]


def _open_end(spellings: Spellings) -> list[str]:
    """Return wildcards for names that begin with an expression."""
    if spellings.at_end:
        return list(spellings.patterns)
    return [f"{pattern.removesuffix('*')}*" for pattern in spellings.patterns]


def _name_class(target: str) -> str:
    """Return a layer's name as it is, and everything for the class of all layers."""
    if _rank(target) == 2:
        return target
    if target != _EVERYTHING:
        raise ValueError(
            f"targets the class {target[:60]!r}; name layers, {_EXPRESSION}EXPRESSION or "
            f"{_EVERYTHING}"
        )
    return "*"


def _is_asked(name: str) -> bool:
    """Whether a name has to be said to be ignored: heads and tables keep 16 bits unasked."""
    return not any(matches(pattern, name.strip("*")) for pattern in DEFAULT_EXCLUDE)


def _read_names(value: Any, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError(f'has {place} that are no list of names; write ["re:.*q_proj"]')
    return value


def _read_bits(group: str, values: Mapping[str, Any]) -> str:
    """Return the widths of a group, of integers alone."""
    if values.get("output_activations"):
        raise ValueError(f"rounds outputs in {group}; only weights and inputs can be")
    weights = _read_width(group, values.get("weights"))
    inputs = _read_width(group, values.get("input_activations"))
    return write_layer_bits(LayerBits(weights or UNROUNDED, inputs))


def _read_width(group: str, values: Any) -> int | None:
    if values is None:
        return None
    if not isinstance(values, Mapping) or values.get("type", "int") != "int":
        raise ValueError(f"has {group} of another type than int; give its width as integers")
    width = values.get("num_bits")
    if not isinstance(width, int) or isinstance(width, bool):
        raise ValueError(f"has {group} without num_bits; give a width from 2 to 8")
    return width


def _read_rounding(groups: Sequence[Mapping[str, Any]]) -> Rounding | None:
    """Return the scales of all groups; None where they differ or are of no kind of ours."""
    found = {_read_scales(group["weights"]) for group in groups if group.get("weights")}
    return found.pop() if len(found) == 1 else None


def _read_scales(weights: Mapping[str, Any]) -> Rounding | None:
    size, strategy = weights.get("group_size"), weights.get("strategy", "group")
    is_symmetric = weights.get("symmetric", True) is True
    if strategy == "channel":
        return Rounding(None, is_symmetric)
    return Rounding(size, is_symmetric) if strategy == "group" and isinstance(size, int) else None


def _write(layer_map: LayerMap) -> str:
    widths = spell_weights(layer_map)
    rounding = layer_map.rounding or _DEFAULT
    rounded = sorted(set(widths.values()) - {UNROUNDED})
    config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        GROUPS: {
            f"group_{place}": {
                "targets": [name for name, each in widths.items() if each == width],
                "weights": _write_weights(width, rounding),
            }
            for place, width in enumerate(rounded)
        },
        IGNORE: [name for name, width in widths.items() if width == UNROUNDED],
    }
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _write_weights(width: int, rounding: Rounding) -> dict[str, Any]:
    size = rounding.group_size
    return {
        "num_bits": width,
        "type": "int",
        "symmetric": rounding.is_symmetric,
        "strategy": "channel" if size is None else "group",
        "group_size": size,
    }


COMPRESSED_TENSORS = MapFormat(
    name="compressed-tensors",
    title="groups of compressed-tensors (config_groups)",
    suffix=".json",
    recognizes=_recognizes,
    read=_read,
    write=_write,
)
