"""From what stands in the widgets to nested values of a spec, and back.

A widget's value is what Gradio hands over: text, a choice, a truth value. What cannot be read as a
number stays text, so that the spec's own sentence about it reaches the field. Start with
`read_asked` (widgets to spec) and `fill` (spec to widgets).
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from app.forms.fields import Condition, FormField
from app.forms.kinds import LISTS
from engine.specs import find_preset
from engine.specs.base import FRACTION

Nested = dict[str, Any]
_MOST_PLAIN = 1e15
_WORDS = re.compile(r"[^\s,;]+")
_NUMBERS = re.compile(r"(?:[^\s,;]|(?<=\d),(?=\d))+")
"""A comma between digits may be a decimal one: it stays, so that the number is refused in words."""


def read_asked(fields: Sequence[FormField], widgets: Sequence[Any], before: Nested) -> Nested:
    """Return what a person asked for: what differs from the preset, and what was asked before.

    Args:
        fields: All fields of the form.
        widgets: Their values, in the same order.
        before: What was asked until now, with `preset`; a value that was written there stays
            written even where it equals the preset's. Not modified.
    """
    shown = {field.key: value for field, value in zip(fields, widgets, strict=True)}
    tags = find_current(fields, widgets)
    asked: Nested = {}
    preset = before.get("preset")
    if preset is not None:
        asked["preset"] = preset
    ground = preset_values(preset)
    for field in fields:
        if not is_shown(field, tags):
            continue
        value = read_widget(field, shown[field.key])
        base = find_value(ground, field.path, field.default)
        if _differs(value, base) or has_value(before, field.path):
            set_value(asked, field.path, value)
    return asked


def fill(fields: Iterable[FormField], asked: Nested) -> list[Any]:
    """Return every widget's value: what was asked, else the preset's, else the default."""
    ground = preset_values(asked.get("preset"))
    current: dict[str, Any] = {}
    written = []
    for field in fields:
        value = field.default  # what is not chosen shows its own, not the other variant's
        if is_shown(field, current):
            value = find_value(asked, field.path, find_value(ground, field.path, field.default))
            current[field.path] = value
        written.append(write_widget(field, value))
    return written


def change_preset(asked: Nested, name: str, kept: Sequence[str]) -> Nested:
    """Return what is asked after choosing a preset: only the `kept` sections stay as written."""
    return {"preset": name} | {key: asked[key] for key in kept if key in asked}


def list_reset(
    fields: Iterable[FormField], before: Nested, after: Nested, paths: Container[str]
) -> list[str]:
    """Return titles of fields that held what no preset set, and after another preset do not.

    Args:
        fields: All fields of the form.
        before: What was asked, with the preset of then.
        after: What is asked now, with the preset of now.
        paths: Which fields count.
    """
    old, new = preset_values(before.get("preset")), preset_values(after.get("preset"))
    reset = []
    for field in fields:
        path, default = field.path, field.default
        was = find_value(before, path, find_value(old, path, default))
        now = find_value(after, path, find_value(new, path, default))
        by_hand = _differs(was, find_value(old, path, default))
        if path in paths and by_hand and _differs(now, was):
            reset.append(field.title)
    return reset


def is_shown(field: FormField, values: Mapping[str, Any]) -> bool:
    """Whether a field matters, given values by path."""
    return all(holds(condition, values) for condition in field.conditions)


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether one condition holds, given values by path, as the spec or a widget has them."""
    value = values.get(condition.path)
    if FRACTION in condition.values and _is_fraction(value):
        return True
    return value in condition.values and value != FRACTION


def preset_values(name: object) -> Nested:
    """Return what a preset sets; nothing where there is no such preset."""
    preset = find_preset(name) if isinstance(name, str) else None
    return dict(preset.values) if preset else {}


def read_widget(field: FormField, value: Any) -> Any:
    """Turn a widget's value into the spec's, as far as it can be read."""
    if field.kind == "lines":
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]
    if field.kind == "integers":
        return [_read_integer(word) for word in _WORDS.findall(str(value or ""))]
    if field.kind == "numbers":
        return [_read_number(field, word) for word in _NUMBERS.findall(str(value or ""))]
    if field.kind in ("integer", "number", "dial"):
        return _read_number(field, value)
    if field.kind == "text":
        text = str(value or "").strip()
        return None if field.optional and not text else text
    return value


def write_widget(field: FormField, value: Any) -> Any:
    """Turn a spec's value into what the field's widget shows."""
    if field.kind in LISTS:
        if isinstance(value, Mapping):  # a layer map as YAML may hold it
            value = [f"{key}={each}" for key, each in value.items()]
        return (
            "\n".join(map(_write_plain, value))
            if isinstance(value, list | tuple)
            else str(value or "")
        )
    if field.kind in ("integer", "number", "dial", "text"):
        return "" if value is None else _write_plain(value)
    if field.kind == "flag":
        return value if isinstance(value, bool) else field.default
    return value if value in field.choices else field.default


def find_value(nested: Mapping[str, Any], path: str, otherwise: Any = None) -> Any:
    """Return the value at a dotted path, or `otherwise`."""
    here: Any = nested
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return otherwise
        here = here[part]
    return here


def has_value(nested: Mapping[str, Any], path: str) -> bool:
    """Whether something is written at a dotted path."""
    missing = object()
    return find_value(nested, path, missing) is not missing


def set_value(nested: Nested, path: str, value: Any) -> None:
    """Write a value at a dotted path, in place."""
    *parents, last = path.split(".")
    for part in parents:
        below = nested.get(part)
        if not isinstance(below, dict):
            below = nested[part] = {}
        nested = below
    nested[last] = value


def find_current(fields: Sequence[FormField], widgets: Sequence[Any]) -> dict[str, Any]:
    """Return the widgets' values by path, of the fields that matter for the choices made."""
    current: dict[str, Any] = {}
    for field, value in zip(fields, widgets, strict=True):
        if is_shown(field, current):
            current[field.path] = value
    return current


def _read_number(field: FormField, value: Any) -> Any:
    text = _clean_number(value)
    if not text:
        return None if field.optional else ""
    try:
        number = float(text)
    except ValueError:
        return text
    if field.kind in ("integer", "dial") and number.is_integer():
        return int(number)
    return number


def _clean_number(value: Any) -> str:
    return str(value if value is not None else "").strip().replace("_", "").replace("−", "-")


def _is_fraction(value: Any) -> bool:
    try:
        number = float(_clean_number(value))
    except ValueError:
        return False
    return math.isfinite(number) and not number.is_integer()


def _read_integer(word: str) -> int | str:
    try:
        return int(word.replace("_", ""))
    except ValueError:
        return word


def _write_plain(value: Any) -> str:
    """Write a number so that reading it gives the same one; a whole one has no point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_PLAIN:
        return str(int(value))
    return str(value)


def _differs(value: Any, base: Any) -> bool:
    value, base = (list(each) if isinstance(each, tuple) else each for each in (value, base))
    return bool(value != base) or isinstance(value, bool) != isinstance(base, bool)
