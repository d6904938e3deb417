"""From the JSON of a request to edits; whatever is wrong is one sentence that names its field.

Start with `read_request`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engine.errors import SpecError
from engine.specs.layer_bits import UNROUNDED, WIDTHS
from engine.specs.wildcards import matches
from tasks.bit_map.edits import (
    Edit,
    Fuse,
    Import,
    Limit,
    Move,
    Pin,
    Places,
    Rename,
    Restore,
    SetWidth,
    Solve,
)
from tasks.bit_map.files import read_file
from tasks.bit_map.ground import Ground
from tasks.bit_map.numbers import read_budget, read_name, read_text, read_whole
from tasks.bit_map.versions import Versions

MAX_EDITS = 1000
MAX_NAMED = 10_000
MAX_CLIENT = 64
MAX_SEQUENCE = 1_000_000_000
NOBODY = "api"
"""Who edits where a request does not say: a script, and each time another one."""
_KNOWN = ("revision", "client", "session", "sequence", "edits")
_WIDTHS = f"a width from 2 to 8 or {UNROUNDED}"


@dataclass(frozen=True)
class Request:
    """What a tab asks for: edits made from the revision it saw.

    Attributes:
        revision: What was seen.
        client: Whose edits these are.
        edits: What is asked for.
        session: The page that sends them, where it numbers its edits; else empty.
        sequence: The number of the first edit.
    """

    revision: int
    client: str
    edits: tuple[Edit, ...]
    session: str = ""
    sequence: int = 1


@dataclass(frozen=True)
class Sources:
    """What edits refer to: the layers, and the versions, looked up where an edit names one."""

    ground: Ground
    load_versions: Callable[[], Versions]


def read_request(values: Mapping[str, Any], sources: Sources) -> Request:
    """Read revision, client, session, sequence and edits.

    Raises:
        SpecError: At the first field that cannot be.
    """
    refuse_unknown(values, _KNOWN)
    if "revision" not in values:
        raise SpecError.at("revision", "is missing; give the one that the edits were made from")
    edits = values.get("edits")
    if not isinstance(edits, list) or not edits:
        raise SpecError.at("edits", 'must be a list of edits, such as [{"edit": "undo"}]')
    if len(edits) > MAX_EDITS:
        raise SpecError.at("edits", f"{len(edits):,} are too many; one request takes {MAX_EDITS:,}")
    if ("session" in values) != ("sequence" in values):
        lacking = "sequence" if "session" in values else "session"
        raise SpecError.at(lacking, "is missing; give session and sequence together, or neither")
    return Request(
        revision=read_whole(values["revision"], "revision", lowest=1),
        client=_read_word(values.get("client", NOBODY), "client"),
        edits=tuple(_read(each, f"edits.{place}", sources) for place, each in enumerate(edits)),
        session=_read_word(values["session"], "session") if "session" in values else "",
        sequence=read_whole(values.get("sequence", 1), "sequence", lowest=1, highest=MAX_SEQUENCE),
    )


def _read_word(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CLIENT or not value.isprintable():
        raise SpecError.at(field, f"must be a word of 1 to {MAX_CLIENT} characters")
    return value


def refuse_unknown(values: Mapping[str, Any], known: tuple[str, ...], at: str = "") -> None:
    """Refuse a field that nothing reads.

    Raises:
        SpecError: At the first one.
    """
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        shown = str(unknown)[:60]
        raise SpecError.at(f"{at}{shown}", f"there is no such field; known: {', '.join(known)}")


def _read(values: Any, at: str, sources: Sources) -> Edit:
    if not isinstance(values, dict):
        raise SpecError.at(at, f'must be an edit, such as {{"edit": "undo"}}, not {_show(values)}')
    name = values.get("edit")
    known = _EDITS.get(name) if isinstance(name, str) else None
    if known is None:
        raise SpecError.at(f"{at}.edit", f"{_show(name)} is not one of {', '.join(_EDITS)}")
    fields, read = known
    refuse_unknown(values, ("edit", *fields), at=f"{at}.")
    return read(values, f"{at}.", sources)


def _read_set(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    places = _read_places(values, at, sources.ground)
    return SetWidth(places, _read_width(values.get("bits"), f"{at}bits"))


def _read_pin(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    return Pin(_read_places(values, at, sources.ground), values["edit"] == "pin")


def _read_limit(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    changes: dict[str, int | None] = {}
    for name in ("least", "most"):
        if name in values:
            bits = values[name]
            changes[name] = None if bits is None else _read_width(bits, f"{at}{name}")
    if not changes:
        raise SpecError.at(f"{at}least", f"is missing; give least, most or both, {_WIDTHS} or null")
    least, most = changes.get("least"), changes.get("most")
    if least is not None and most is not None and least > most:
        raise SpecError.at(f"{at}least", f"{least} is more than most, {most}; let it be less")
    return Limit(_read_places(values, at, sources.ground), MappingProxyType(changes))


def _read_fuse(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    del sources
    fused = values.get("fused")
    if not isinstance(fused, bool):
        raise SpecError.at(f"{at}fused", f"must be true or false, not {_show(fused)}")
    return Fuse(fused)


def _read_solve(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    del sources
    return Solve(read_budget(values.get("budget"), f"{at}budget"), f"{at}budget")


def _read_restore(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    number = read_whole(values.get("version"), f"{at}version", lowest=1)
    return Restore(number, sources.load_versions().get(number, f"{at}version"))


def _read_import(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    text = read_text(values.get("text"), f"{at}text")
    name = values.get("name", "")
    called = name if isinstance(name, str) and name.isprintable() else ""
    found = read_file(text, sources.ground, name=called[:120], field=f"{at}text")
    return Import(found.widths, found.note)


def _read_rename(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    del sources
    return Rename(read_name(values.get("name"), f"{at}name"))


def _read_move(values: dict[str, Any], at: str, sources: Sources) -> Edit:
    del at, sources
    return Move(-1 if values["edit"] == "undo" else 1)


def _read_width(value: Any, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in WIDTHS:
        raise SpecError.at(at, f"{_show(value)} is no width; give {_WIDTHS}")
    return value


def _read_places(values: dict[str, Any], at: str, ground: Ground) -> Places:
    """Return the layers that an edit names, one by one or by a pattern."""
    if ("layers" in values) == ("pattern" in values):
        raise SpecError.at(f"{at}layers", "give either layers, a list of names, or pattern")
    if "pattern" in values:
        return _match(values["pattern"], f"{at}pattern", ground)
    names = values["layers"]
    if not isinstance(names, list) or not names:
        raise SpecError.at(f"{at}layers", f"must be a list of names, not {_show(names)}")
    if len(names) > MAX_NAMED:
        raise SpecError.at(
            f"{at}layers", f"{len(names):,} names are too many; up to {MAX_NAMED:,} are taken"
        )
    return tuple(dict.fromkeys(_find_place(name, f"{at}layers", ground) for name in names))


def _find_place(name: Any, at: str, ground: Ground) -> int:
    place = ground.places.get(name) if isinstance(name, str) else None
    if place is None:
        close = difflib.get_close_matches(str(name)[:200], ground.names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"layers are named like {ground.names[0]}"
        raise SpecError.at(at, f"there is no layer {_show(name)}; {hint}")
    return place


def _match(pattern: Any, at: str, ground: Ground) -> Places:
    if not isinstance(pattern, str) or not 0 < len(pattern) <= 300:
        raise SpecError.at(
            at, f"must be a name with wildcards, such as *.mlp.*, not {_show(pattern)}"
        )
    found = tuple(place for name, place in ground.places.items() if matches(pattern, name))
    if not found:
        raise SpecError.at(
            at, f"{_show(pattern)} matches no layer; layers are named like {ground.names[0]}"
        )
    return found


def _show(value: Any) -> str:
    """Return a value as a sentence can hold it."""
    return repr(value)[:60] if value is not None else "null"


_Reader = Callable[[dict[str, Any], str, Sources], Edit]
_NAMED = ("layers", "pattern")
_EDITS: Mapping[str, tuple[tuple[str, ...], _Reader]] = MappingProxyType(
    {
        "set": ((*_NAMED, "bits"), _read_set),
        "pin": (_NAMED, _read_pin),
        "unpin": (_NAMED, _read_pin),
        "limit": ((*_NAMED, "least", "most"), _read_limit),
        "fuse": (("fused",), _read_fuse),
        "solve": (("budget",), _read_solve),
        "undo": ((), _read_move),
        "redo": ((), _read_move),
        "restore": (("version",), _read_restore),
        "import": (("text", "name"), _read_import),
        "name": (("name",), _read_rename),
    }
)
