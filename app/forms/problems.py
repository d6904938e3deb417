"""From problems of a spec to the fields of the form they belong to. Start with `place_problems`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.forms.fields import FormField
from app.forms.values import is_shown
from engine.errors import Problem


def place_problems(
    problems: Iterable[Problem], fields: Sequence[FormField], current: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Return what the page needs to show each problem at its field and in the list.

    Args:
        problems: As the spec or the store tells them.
        fields: All fields of the form.
        current: Values by path of the fields that matter (`app.forms.values.find_current`).

    Returns:
        One mapping per problem: `message`, `title` of the field and `element`, its id on the page;
        the last two are the dotted path and empty where the form has no such field.
    """
    shown = {field.path: field for field in fields if is_shown(field, current)}
    return [_place(problem, shown) for problem in problems]


def _place(problem: Problem, shown: Mapping[str, FormField]) -> dict[str, str]:
    field = _find_field(problem.field, shown)
    return {
        "message": problem.message,
        "title": field.title if field else problem.field,
        "element": field.element if field else "",
    }


def _find_field(path: str, shown: Mapping[str, FormField]) -> FormField | None:
    """Return the field at the path, or the nearest above it ("quantizer.include.0")."""
    while path:
        if path in shown:
            return shown[path]
        path = path.rpartition(".")[0]
    return None
