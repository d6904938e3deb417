"""The door to files of widths: reading one of any format, writing one. Start with `read_map`."""

from __future__ import annotations

from pathlib import Path

from engine.errors import SpecError
from engine.layer_maps.catalogue import FORMATS
from engine.layer_maps.documents import parse_document
from engine.layer_maps.layer_map import FormatName, LayerMap

MAX_BYTES = 1_000_000


def read_map(source: Path | str | bytes, *, name: str = "", field: str = "layer_bits") -> LayerMap:
    """Read a file of widths; its format is told by what it holds, not by its name.

    Args:
        source: Where the file is, or what it holds.
        name: What to call it in an error; a path's own name where empty.
        field: The spec field it is for.

    Raises:
        SpecError: At `field`, in one sentence: it cannot be read, is larger than 1 MB, is not
            UTF-8, is of no known format, names a layer twice, or gives one a width that cannot be.
    """
    called = name or (source.name if isinstance(source, Path) else "the layer map")
    try:
        document = parse_document(_read_text(source))
        for known in FORMATS.values():
            if known.recognizes(document):
                return known.read(document)
        accepted = " or ".join(known.title for known in FORMATS.values())
        raise ValueError(f"is no layer map; accepted is {accepted}")
    except ValueError as error:
        raise SpecError.at(field, f"{called} {error}") from None


def write_map(layer_map: LayerMap, *, format_name: FormatName = "bitdial") -> str:
    """Return the text of a file that says the same.

    Raises:
        SpecError: At `format`, when there is no such format or it cannot hold the map.
    """
    known = FORMATS.get(format_name)
    if known is None:
        raise SpecError.at("format", f"{format_name!r} is not one of {', '.join(FORMATS)}")
    try:
        return known.write(layer_map)
    except ValueError as error:
        raise SpecError.at("format", f"{known.title} {error}") from None


def _read_text(source: Path | str | bytes) -> str:
    """Return the text, which may begin with a byte order mark."""
    content = _read_bytes(source) if isinstance(source, Path) else source
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    if len(raw) > MAX_BYTES:
        raise ValueError("is larger than 1 MB; a map has a line for each layer")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None


def _read_bytes(path: Path) -> bytes:
    """Read no more of a file than shows that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None
