"""Widths of single layers: how they are written, and which lines hold for a layer.

A line is `PATTERN=WIDTHS`, such as `transformer.h.3.attn.c_attn=4` or `*.mlp.*=W4A8KV4`: weights,
inputs (activations) and key-value cache in the notation of the field; what is left out follows the
quantizer. 16 leaves a part unrounded; inputs of weights at 16 stay as well unless the line names
them (`W16A8`). Start with `read_layer_bits`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from engine.errors import SpecError
from engine.specs.wildcards import find_literal, has_wildcard, matches

UNROUNDED = 16
WIDTHS = (*range(2, 9), UNROUNDED)
"""Every width a part of a layer can have; 16 leaves it unrounded."""
ACCEPTED = "a width from 2 to 8 or 16, such as 4, or W4A8KV8 for weights, inputs and cache"
_NOTATION = re.compile(r"(?:W?(?P<weights>\d+))(?:A(?P<inputs>\d+))?(?:KV(?P<cache>\d+))?", re.I)


class LayerBits(NamedTuple):
    """Widths of a layer's parts.

    Attributes:
        weights: Of its weights.
        inputs: Of its inputs; None where they follow the quantizer, which leaves those of weights
            at 16 bits alone.
        cache: Of its block's key-value cache; None where it follows the quantizer.
    """

    weights: int
    inputs: int | None = None
    cache: int | None = None


def read_layer_bits(text: object) -> LayerBits:
    """Read "4", 4, "W4A8" or "W4A8KV4".

    Raises:
        ValueError: When it is none of these; the message says what is.
    """
    found = None if isinstance(text, bool) else _NOTATION.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{str(text)[:40]!r} is not {ACCEPTED}")
    widths = {part: int(value) for part, value in found.groupdict().items() if value is not None}
    wrong = next((width for width in widths.values() if width not in WIDTHS), None)
    if wrong is not None:
        raise ValueError(f"{wrong} is not {ACCEPTED}")
    return LayerBits(**widths)


def write_layer_bits(bits: LayerBits) -> str:
    """Write it as short as it can be read: "4", "W4A8", "W4KV8"."""
    if bits.inputs is None and bits.cache is None:
        return str(bits.weights)
    inputs = "" if bits.inputs is None else f"A{bits.inputs}"
    cache = "" if bits.cache is None else f"KV{bits.cache}"
    return f"W{bits.weights}{inputs}{cache}"


def read_lines(value: Any) -> Any:
    """Return the lines of a layer map in one way of writing, for pydantic to check further.

    Args:
        value: Lines, or a mapping of patterns to widths.

    Raises:
        PydanticCustomError: When a line is not PATTERN=WIDTHS.
    """
    if isinstance(value, Mapping):
        value = tuple(f"{name}={bits}" for name, bits in value.items())
    if not isinstance(value, list | tuple):
        return value
    try:
        return tuple(_write_line(line) for line in value)
    except ValueError as error:
        raise PydanticCustomError("layer_bits", "{why}", {"why": str(error)}) from None


def find_bits(lines: Iterable[str], name: str) -> LayerBits | None:
    """Return the widths of a layer: those of the last line that matches; None where none does."""
    return _find_bits(tuple(lines), name)


@lru_cache(maxsize=1 << 13)
def _find_bits(lines: tuple[str, ...], name: str) -> LayerBits | None:
    spelled, wild = _index(lines)
    place = spelled.get(name, -1)
    for later, literal, pattern in wild:
        if literal in name and later > place and matches(pattern, name):
            place = later
            break
    return read_layer_bits(lines[place].rpartition("=")[2]) if place >= 0 else None


@lru_cache(maxsize=64)
def _index(lines: tuple[str, ...]) -> tuple[Mapping[str, int], tuple[tuple[int, str, str], ...]]:
    """Return the last line of each pattern, and line, literal, pattern of wildcards, last first."""
    spelled = {pattern: place for place, pattern in enumerate(list_patterns(lines))}
    wild = [
        (place, find_literal(each), each) for each, place in spelled.items() if has_wildcard(each)
    ]
    return spelled, tuple(sorted(wild, reverse=True))


def is_named(name: str, pattern: str) -> bool:
    """Whether a line's pattern names a layer, which may hold brackets if it is spelled out."""
    return name == pattern or matches(pattern, name)


def list_named(names: Iterable[str], pattern: str) -> tuple[str, ...]:
    """Return the names of the layers that a line's pattern names, in their own order."""
    literal = find_literal(pattern)
    return tuple(name for name in names if literal in name and is_named(name, pattern))


def is_cache_rounded(line: str) -> bool:
    """Whether a line gives keys and values a width that rounds them; KV16 does not."""
    return read_layer_bits(line.rpartition("=")[2]).cache not in (None, UNROUNDED)


def list_patterns(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the pattern of every line."""
    return tuple(line.rpartition("=")[0] for line in lines)


def check_named(lines: Iterable[str], names: Iterable[str], *, field: str) -> None:
    """Refuse a line that names none of these layers, and suggest the nearest.

    Raises:
        SpecError: At `field`.
    """
    known = tuple(names)
    for pattern in list_patterns(lines):
        if not list_named(known, pattern):
            close = difflib.get_close_matches(pattern, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"layers are named like {known[0]}"
            raise SpecError.at(field, f"there is no quantized layer {pattern}; {hint}")


def _write_line(line: object) -> str:
    name, separator, bits = str(line).rpartition("=")
    if not separator or not name.strip():
        raise ValueError(f"{str(line)[:60]!r} is not LAYER=WIDTH, such as *.mlp.*=4")
    return f"{name.strip()}={write_layer_bits(read_layer_bits(bits))}"
