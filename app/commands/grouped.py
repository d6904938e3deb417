"""Options of a command in groups: a dataclass for those that belong together.

Typer reads one word of the command line from each parameter of a function; `grouped` lets a
parameter be a dataclass, whose fields are words like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command as Typer takes it: each field of its dataclasses a parameter.

    The fields have defaults, and names that no other parameter has.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        each.name: each.annotation
        for each in signature.parameters.values()
        if is_dataclass(each.annotation)
    }

    @wraps(command)
    def call(**words: Any) -> None:
        built = {
            name: kind(**{each.name: words.pop(each.name) for each in fields(kind)})
            for name, kind in groups.items()
        }
        command(**words, **built)

    spread = [
        parameter
        for each in signature.parameters.values()
        for parameter in (_iter_fields(groups[each.name]) if each.name in groups else (each,))
    ]
    call.__signature__ = signature.replace(parameters=spread)  # type: ignore[attr-defined]
    return call


def _iter_fields(kind: Any) -> Iterator[inspect.Parameter]:
    """Yield a dataclass's fields as parameters of a function."""
    hints = get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        yield inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
