"""Text as one mapping, JSON or YAML, with nothing read that is not plain data.

A name that stands twice is refused: readers of both formats would silently keep one of the two.
Start with `parse_document`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from engine.layer_maps.layer_map import Document


def parse_document(text: str) -> Document:
    """Read a mapping.

    Raises:
        ValueError: With the rest of a sentence that begins with the file's name.
    """
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
