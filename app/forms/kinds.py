"""What kind of widget a spec's field asks for, read off its type and limits.

Start with `read_kind`.
"""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

FieldKind = Literal[
    "text", "integer", "number", "flag", "choice", "dial", "lines", "integers", "numbers"
]
LISTS: frozenset[FieldKind] = frozenset({"lines", "integers", "numbers"})
"""Kinds whose values are typed one per line."""
_DIAL_STEPS = range(3, 8)
_LISTS_OF: dict[Any, FieldKind] = {str: "lines", int: "integers", float: "numbers"}
_PLAIN: dict[Any, FieldKind] = {bool: "flag", int: "integer", float: "number", str: "text"}


def read_kind(info: FieldInfo) -> tuple[FieldKind, tuple[Any, ...], bool]:
    """Return a field's kind, its choices, and whether it may be empty."""
    annotation, optional = _without_none(info.annotation)
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation), optional
    if get_origin(annotation) is tuple:
        return _LISTS_OF[get_args(annotation)[0]], (), optional
    dial = _dial_of(info)
    return ("dial", dial, optional) if dial else (_PLAIN[annotation], (), optional)


def find_limit(info: FieldInfo, name: str, otherwise: Any) -> Any:
    """Return one of pydantic's limits of a field ("ge", "le", "max_length")."""
    return next((getattr(m, name) for m in info.metadata if hasattr(m, name)), otherwise)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return inner[0], len(inner) < len(get_args(annotation))


def _dial_of(info: FieldInfo) -> tuple[int, ...]:
    """Return all accepted whole numbers where they are few and not just the ends of a share."""
    low, high = find_limit(info, "ge", None), find_limit(info, "le", None)
    if low is None or high is None or int(high - low) not in _DIAL_STEPS:
        return ()
    return tuple(range(int(low), int(high) + 1))
