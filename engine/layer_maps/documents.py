"""Text as one mapping: JSON, YAML or lines of NAME=VALUE, with nothing read but plain data.

A name that stands twice is refused: readers of JSON and YAML would silently keep one of the two.
Lines keep all, as their order counts. Start with `parse_document`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from engine.layer_maps.layer_map import Document

LINES = "lines"
_OPTION = "--tensor-type"


def parse_document(text: str) -> Document:
    """Read a mapping; of lines it has the one key `LINES`, with a tuple of pairs as its value.

    Raises:
        ValueError: With the rest of a sentence that begins with the file's name.
    """
    lines = _read_lines(text)
    if lines:
        return {LINES: lines}
    try:
        if text.lstrip().startswith("{"):
            values: Any = json.loads(text, object_pairs_hook=_without_twins)
        else:
            values = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader
    except _Twin as error:
        raise ValueError(f"names {str(error)[:100]!r} twice; leave one of the two out") from None
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise ValueError(f"is neither JSON nor YAML{_place(error)}") from None
    except (RecursionError, ValueError, TypeError):
        raise ValueError("is neither JSON nor YAML that holds plain names and widths") from None
    if not isinstance(values, dict):
        raise ValueError("is not a mapping of layers to widths")
    return values


def _read_lines(text: str) -> tuple[tuple[str, str], ...]:
    """Return words of NAME=VALUE, as lines or as options of a command; none where one is not."""
    words = [word for word in text.split() if word != _OPTION]
    pairs = [word.partition("=") for word in words]
    if text.lstrip().startswith("{") or not all(name and equals for name, equals, _ in pairs):
        return ()
    return tuple((name, value) for name, _, value in pairs)


class _Twin(Exception):
    """A key that stands twice."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, for mappings without twins and without references.

    A few lines of references can stand for more than any memory holds.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse a reference, build anything else."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("a reference")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        """Build a mapping and refuse a key that stands twice."""
        values = super().construct_mapping(node, deep=deep)
        if len(values) < len(node.value):
            keys = [str(key.value) for key, _ in node.value]
            raise _Twin(next((key for key in keys if keys.count(key) > 1), keys[-1]))
        return values


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise _Twin(key)
        values[key] = value
    return values


def _place(error: Exception) -> str:
    """Say in which line reading ended."""
    mark = getattr(error, "problem_mark", None)
    line = getattr(error, "lineno", None if mark is None else mark.line + 1)
    return "" if line is None else f" (line {line})"
