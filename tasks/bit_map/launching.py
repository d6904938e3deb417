"""Training from a map: a draft of the form with a preset, and the map's model, grid and widths.

A preset may set widths itself, or need another head; then as much of the map as goes with it is
taken, and what was left out is said. Start with `make_draft`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.errors import Problem, SpecError
from engine.specs import PRESETS, Preset, find_preset, resolve
from tasks.bit_map.content import Content, read_content
from tasks.bit_map.ground import Ground, build_ground
from tasks.bit_map.quantizing import write_grid, write_quantizer
from tasks.desk import Desk
from tasks.prediction import list_misfits, load_shapes
from tasks.store.bit_maps import get_snapshot
from tasks.store.drafts import create_draft

NO_MAP = "The layer map was left out, and with it the widths of single layers"
OTHER_HEAD = "The model is loaded with the head that the preset trains."


@dataclass(frozen=True)
class MapDraft:
    """A draft of the form, and what of the map the preset has no place for."""

    draft_id: int
    note: str


@dataclass(frozen=True)
class _Offer:
    """What a form could begin with, and what would have to be said of it."""

    asked: dict[str, Any]
    note: str


def make_draft(desk: Desk, map_id: int, preset_name: object) -> MapDraft:
    """Keep a new draft that trains from a map as it stands.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: At "preset", when there is no such preset.
        ModelError: When the map's model cannot be found.
    """
    preset = find_preset(preset_name) if isinstance(preset_name, str) else None
    if preset is None:
        known = ", ".join(each.name for each in PRESETS)
        shown = "null" if preset_name is None else repr(preset_name)[:60]
        raise SpecError.at("preset", f"there is no preset {shown}; choose one of {known}")
    snapshot = get_snapshot(desk.database, map_id)
    ground = build_ground(snapshot.map.spec, snapshot.map.shapes)
    offer = _choose(desk, preset, ground, read_content(snapshot.state.content))
    draft = create_draft(desk.database, {"asked": offer.asked, "tab": ""})
    return MapDraft(draft.id, offer.note)


def _choose(desk: Desk, preset: Preset, ground: Ground, content: Content) -> _Offer:
    """Return the first offer that fits, the whole map before parts of it."""
    first: tuple[Problem, ...] = ()
    for offer in _iter_offers(preset, ground, content):
        problems = _list_problems(desk, offer.asked)
        if not problems:
            why = f": {first[0].message}." if first and NO_MAP in offer.note else ""
            return _Offer(offer.asked, offer.note.replace("{why}", why or "."))
        first = first or problems
    return _Offer({"preset": preset.name}, f"{NO_MAP}, as the model: {first[0].message}.")


def _iter_offers(preset: Preset, ground: Ground, content: Content) -> Iterator[_Offer]:
    whole = ground.spec.model.model_dump(mode="json")
    models: list[tuple[dict[str, Any], str]] = [(whole, "")]
    if preset.values.get("model", {}).get("head", whole["head"]) != whole["head"]:
        bare = {name: value for name, value in whole.items() if name != "head"}
        models.append((bare, OTHER_HEAD))
    base = {"preset": preset.name}
    if preset.values.get("quantizer", {}).get("grid") != "float":
        for quantizer, note in (
            (write_quantizer(ground, content), ""),
            (write_grid(ground), f"{NO_MAP}{{why}}"),
        ):
            for model, other in models:
                asked = {**base, "model": model, "quantizer": quantizer}
                yield _Offer(asked, " ".join(filter(None, (note, other))))
    for model, other in models:
        note = f"{NO_MAP}{{why}} So was the way its weights are rounded."
        yield _Offer({**base, "model": model}, " ".join(filter(None, (note, other))))


def _list_problems(desk: Desk, asked: dict[str, Any]) -> tuple[Problem, ...]:
    """Return what keeps values from being submitted, whatever data is there."""
    try:
        resolved = resolve(asked)
    except SpecError as error:
        return error.problems
    return list_misfits(resolved.spec, load_shapes(desk.settings, resolved.spec))
