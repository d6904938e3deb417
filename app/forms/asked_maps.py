"""What is asked where a trained run is measured at other widths: fields, and their values read.

Widths of one for all layers are ticked; a named map, widths drawn at random and an attack have the
fields of their specs. Start with `list_map_fields` and `read_maps`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.forms.fields import FormField, list_attack_fields, list_named_fields, list_random_fields
from app.forms.problems import place_problems
from app.forms.values import read_widget
from app.text import maps as text
from engine.errors import Problem

WIDTHS_ELEMENT = "measured-widths"
ATTACK = "attack."
_LINES, _NAME, _DRAWN = "maps.layer_bits", "maps.name", "maps.widths"
_PLACE = re.compile(r"maps\.\d+\.")


def list_map_fields() -> tuple[FormField, ...]:
    """Return the fields of a named map and of one that draws widths; empty ones ask for none."""
    named: dict[str, dict[str, Any]] = {
        _LINES: {"title": text.NAMED_LINES, "help": text.NAMED_HELP},
        _NAME: {"title": text.NAMED_NAME, "help": text.NAMED_NAME_HELP},
        _DRAWN: {"title": text.RANDOM_WIDTHS, "help": text.RANDOM_HELP, "default": ()},
    }
    fields = (*reversed(list_named_fields()), *list_random_fields())
    return tuple(replace(field, **named.get(field.path, {})) for field in fields)


def list_usual_attack_fields() -> tuple[FormField, ...]:
    """Return what most people choose of an attack: how many texts and steps."""
    return tuple(field for field in list_attack_fields() if not field.advanced)


def read_maps(
    fields: Sequence[FormField], typed: Sequence[Any], *, widths: Iterable[int], attacked: object
) -> dict[str, Any]:
    """Return what is asked, as `tasks.submit.submit_map_evaluation` takes it.

    Args:
        fields: Of the maps and the attack.
        typed: What stands in their widgets, in the same order.
        widths: Of one for all layers each.
        attacked: Whether a classifier is attacked.
    """
    found = {
        field.path: read_widget(field, value) for field, value in zip(fields, typed, strict=True)
    }
    maps: list[dict[str, Any]] = [{"map": "uniform", "bits": bits} for bits in sorted(widths)]
    if found[_LINES] or found[_NAME]:
        maps.append({"map": "layers", "name": found[_NAME], "layer_bits": found[_LINES]})
    if found[_DRAWN]:
        drawn = [field.path for field in list_random_fields()]
        maps.append({"map": "random", **{_last(path): found[path] for path in drawn}})
    asked: dict[str, Any] = {"maps": maps}
    if attacked:
        own = {_last(path): value for path, value in found.items() if path.startswith(ATTACK)}
        asked["attack"] = {"attack": "gbda", **own}
    return asked


def place_map_problems(
    problems: Iterable[Problem], fields: Sequence[FormField], asked: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Return what the page needs to show each problem at its field.

    A form holds one map of each kind with fields, so that a problem's field names it without its
    number. One of all maps is about the lines that were typed, or else about the ticked widths.

    Args:
        problems: What is wrong.
        fields: Of the maps and the attack.
        asked: What `read_maps` read.
    """
    is_named = any(each["map"] == "layers" for each in asked["maps"])
    own = [_drop_number(problem, is_named=is_named) for problem in problems]
    placed = place_problems(own, fields, {})
    return [
        {**entry, "title": text.WIDTHS, "element": WIDTHS_ELEMENT}
        if not entry["element"] and problem.field.partition(".")[0] == "maps"
        else entry
        for entry, problem in zip(placed, own, strict=True)
    ]


def _drop_number(problem: Problem, *, is_named: bool) -> Problem:
    if problem.field == "maps" and is_named:
        return Problem(_LINES, problem.message)
    return Problem(_PLACE.sub("maps.", problem.field), problem.message)


def _last(path: str) -> str:
    return path.rpartition(".")[2]
