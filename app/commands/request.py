"""From SPEC, --preset, --layer-map and KEY=VALUE to the values that `engine.specs.resolve` takes.

Nothing is resolved here. Start with `read_request`.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import SpecError
from engine.layer_maps.reading import read_map
from engine.specs.yaml_text import MAX_YAML_BYTES, parse_yaml


@dataclass(frozen=True)
class Request:
    """What a person asked for: nested values as in a file, and overrides over them."""

    values: dict[str, Any]
    overrides: tuple[str, ...]


def read_request(
    words: Sequence[str],
    *,
    preset: str | None,
    settings: Sequence[str],
    layer_map: Path | None = None,
) -> Request:
    """Sort the command line's words and read the file among them.

    Args:
        words: SPEC, if any, then KEY=VALUE; SPEC is a path or "-" for standard input.
        preset: Name of a preset to put underneath; None for the file's own.
        settings: What was given as `--set KEY=VALUE`.
        layer_map: A file of widths of single layers, of any format of `engine.layer_maps`; it takes
            the place of the spec's own map, and overrides are laid over it.

    Raises:
        SpecError: When a file cannot be read or there is nothing to run.
    """
    if preset is None and not (words or settings):
        raise SpecError.at("SPEC", "is missing; give a YAML file, - for stdin, or --preset rtn")
    found = split_words(words)
    values = found.values
    if preset is not None:
        values["preset"] = preset
    if layer_map is not None:
        values["quantizer"] = _give_widths(values.get("quantizer"), layer_map)
    return Request(values, (*found.overrides, *settings))


def split_words(words: Sequence[str]) -> Request:
    """Read SPEC, where the first word is one, and take the others for KEY=VALUE.

    Raises:
        SpecError: When the file cannot be read.
    """
    rest = list(words)
    source = rest.pop(0) if rest and _is_source(rest[0]) else None
    return Request(parse_yaml(read_source(source)) if source else {}, tuple(rest))


def read_source(source: str) -> str:
    """Return the text of a spec file, or of standard input for "-".

    Raises:
        SpecError: When it is missing, a folder, too large, unreadable or not text.
    """
    try:
        raw = sys.stdin.buffer.read(MAX_YAML_BYTES + 1) if source == "-" else _read_file(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be one of a file"
        raise SpecError.at(source, f"cannot be read ({reason}); give a YAML file") from None
    if len(raw) > MAX_YAML_BYTES:
        raise SpecError.at(source, "is larger than 1 MB; a spec has a few dozen lines")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError.at(source, "is not text; give a YAML file in UTF-8") from None
    if "\x00" in text:
        raise SpecError.at(source, "is not text; give a YAML file in UTF-8")
    return text


def _give_widths(quantizer: Any, layer_map: Path) -> Any:
    """Return the quantizer's values with a file's widths; what is no mapping is refused later."""
    lines = list(read_map(layer_map, field="--layer-map").lines)
    if quantizer is None:
        return {"layer_bits": lines}
    return {**quantizer, "layer_bits": lines} if isinstance(quantizer, dict) else quantizer


def _is_source(word: str) -> bool:
    return word == "-" or "=" not in word or Path(word).is_file()


def _read_file(source: str) -> bytes:
    path = Path(source)
    if stat.S_ISDIR(path.stat().st_mode):
        raise SpecError.at(source, "is a folder; give a YAML file")
    with path.open("rb") as file:
        return file.read(MAX_YAML_BYTES + 1)
