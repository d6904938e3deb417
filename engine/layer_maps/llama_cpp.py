r"""llama.cpp's tensor types: a line REGEX=TYPE for each tensor. Start with `LLAMA_CPP`.

    blk\.3\.attn_q\.weight=q4_K
    attn_v=q5_K

As `llama-quantize --tensor-type-file` reads them, or after `--tensor-type` on its command line. A
tensor gets the type of the first line that is found in its name; earlier versions took the last, so
what is written here names each tensor once. Types stand for their width: q4_0 and iq4_xs are read
as 4 bits; grids and scales are llama.cpp's own. Names are those of models built like Llama, or of
GPT-2 where a line names attn_qkv. Letters count alike, small or capital, but for those of an escape
(\D is not \d).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from engine.layer_maps.documents import LINES
from engine.layer_maps.layer_map import (
    MAX_LAYERS,
    Document,
    LayerMap,
    MapFormat,
    read_layers,
    spell_weights,
)
from engine.layer_maps.numbered_names import find_numbers
from engine.layer_maps.plain_regex import Spellings, spell_all
from engine.models.gguf_names import list_names
from engine.specs.layer_bits import UNROUNDED
from engine.specs.wildcards import has_wildcard, matches

TYPES: Mapping[int, str] = MappingProxyType(
    {2: "q2_K", 3: "q3_K", 4: "q4_K", 5: "q5_K", 6: "q6_K", 8: "q8_0", UNROUNDED: "f16"}
)
_TYPE = re.compile(r"(?:i|t)?q([2-8])_(?:[01k]|k_[sml]|xxs|xs|s|m|nl)|(?:mx|nv)fp([48])", re.I)
_WHOLE = re.compile(r"(?:b?f16|f32)", re.I)
_LETTER = re.compile(r"\\.|[A-Z]")
_GPT2_ONLY = ("attn_qkv", "position_embd")
_OUTSIDE = ("token_embd", "position_embd", "output")
_ARCHITECTURES = ("llama", "gpt2")


def _recognizes(document: Document) -> bool:
    return isinstance(document.get(LINES), tuple)


def _read(document: Document) -> LayerMap:
    lines = document[LINES]
    if len(lines) > MAX_LAYERS:
        raise ValueError(f"has {len(lines):,} lines; 1 to {MAX_LAYERS:,} are accepted")
    is_gpt2 = any(only in name for name, _ in lines for only in _GPT2_ONLY)
    layers: dict[str, int] = {}
    spelled = spell_all(map(_lower, (name for name, _ in lines)))
    for (name, type_name), spellings in zip(lines, spelled, strict=True):
        width = _read_type(name, type_name)
        found = list(_list_layers(spellings, "gpt2" if is_gpt2 else "llama"))
        if not found and width != UNROUNDED:  # what is never rounded may be named as well: norms
            raise ValueError(
                f"gives {name[:60]!r} a type, which is no layer of a model built like Llama or "
                "GPT-2; lines are like blk\\.3\\.attn_q\\.weight=q4_K or ffn_down=q5_K"
            )
        for layer in found:
            layers.setdefault(layer, width)
    if any(map(has_wildcard, layers)):  # the first line counts there, the last one here
        layers = dict(reversed(layers.items()))
    return LayerMap(read_layers(layers))


def _read_type(name: str, text: str) -> int:
    """Return the width a type stands for."""
    found = _TYPE.fullmatch(text)
    if found is not None:
        return int(found[1] or found[2])
    if _WHOLE.fullmatch(text):
        return UNROUNDED
    raise ValueError(
        f"gives {name[:60]!r} the type {text[:20]!r}; accepted are {', '.join(TYPES.values())} "
        "and others of 2 to 8 bits"
    )


def _lower(expression: str) -> str:
    """Return an expression with its capitals small, escapes as they are."""
    return _LETTER.sub(lambda each: each[0] if len(each[0]) > 1 else each[0].lower(), expression)


def _list_layers(spellings: Spellings, architecture: str) -> Iterator[str]:
    """Yield the layers whose tensors an expression is found in, as patterns of a layer map."""
    kinds, blocks = list_names(architecture)
    before, after = "" if spellings.at_start else "*", "" if spellings.at_end else "*"
    for spelling in spellings.patterns:
        pattern = f"{before}{spelling}{after}"
        length = len(pattern) - pattern.count("*")
        for kind, module in kinds.items():
            if kind in _OUTSIDE:
                if length <= len(f"{kind}.weight") and matches(pattern, f"{kind}.weight"):
                    yield module
                continue
            for block in find_numbers(pattern, "blk.", f".{kind}.weight"):
                yield f"{blocks}.{block}.{module}"


def _write(layer_map: LayerMap) -> str:
    widths = spell_weights(layer_map)
    lines = [f"{_name_tensor(name)}={_name_type(name, width)}" for name, width in widths.items()]
    return "\n".join(lines) + "\n"


def _name_type(name: str, width: int) -> str:
    if width not in TYPES:
        raise ValueError(f"has no type of {width} bits, which {name} has; give it 6 or 8 instead")
    return TYPES[width]


def _name_tensor(name: str) -> str:
    """Return the expression that is found in the name of this layer's tensor alone."""
    for architecture in _ARCHITECTURES:
        kinds, blocks = list_names(architecture)
        for kind, module in kinds.items():
            if module == name:
                return rf"^{kind}\.weight"
            block = name.removeprefix(f"{blocks}.").removesuffix(f".{module}")
            if name == f"{blocks}.{block}.{module}" and block.isdecimal():
                return rf"blk\.{block}\.{kind}\.weight"
    raise ValueError(
        f"has no name for {name}; it names layers of models built like Llama, such as "
        "model.layers.3.self_attn.q_proj, and of GPT-2"
    )


LLAMA_CPP = MapFormat(
    name="llama-cpp",
    title="llama.cpp's tensor types (REGEX=TYPE)",
    suffix=".txt",
    recognizes=_recognizes,
    read=_read,
    write=_write,
)
