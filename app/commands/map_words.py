"""Layer maps as words of the command line, and as the maps of a spec. Start with `read_maps`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import SpecError
from engine.layer_maps.reading import read_map


def read_maps(
    *, widths: str | None, files: Sequence[str], draws: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the maps that were asked for: uniform ones, then named ones, then drawn ones.

    Args:
        widths: Uniform widths with commas between, or None.
        files: NAME=FILE each, the file of any format of `engine.layer_maps`.
        draws: Widths with commas between each, and where widths are shared, as "8,6,4:layer".

    Raises:
        SpecError: At the option, when a word cannot be read.
    """
    return [
        *({"map": "uniform", "bits": bits} for bits in read_widths("--widths", widths or "")),
        *(_read_file(word) for word in files),
        *(_read_draw(word) for word in draws),
    ]


def read_widths(option: str, text: str) -> list[int]:
    """Read widths with commas between.

    Raises:
        SpecError: At the option, when a word is no number.
    """
    words = text.replace(",", " ").split()
    wrong = next((word for word in words if not word.isdecimal()), None)
    if wrong is not None:
        raise SpecError.at(
            option, f"{wrong[:40]!r} is no width; give 2 to 8 or 16 with commas between, as 8,6,4"
        )
    return [int(word) for word in words]


def _read_file(word: str) -> dict[str, Any]:
    name, separator, path = word.partition("=")
    if not separator or not name.strip() or not path:
        raise SpecError.at("--map", f"{word[:60]!r} is not NAME=FILE, as mine=map.yaml")
    found = read_map(Path(path), field="--map")
    return {"map": "layers", "name": name.strip(), "layer_bits": list(found.lines)}


def _read_draw(word: str) -> dict[str, Any]:
    widths, separator, scope = word.partition(":")
    found: dict[str, Any] = {"map": "random", "widths": read_widths("--random", widths)}
    return {**found, "scope": scope} if separator else found
