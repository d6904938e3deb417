"""Specs as YAML text, read and written. Start with `parse_yaml`; files are left to the caller."""

from __future__ import annotations

from typing import Any

import yaml

from engine.errors import SpecError
from engine.specs.subject import Subject

MAX_YAML_BYTES = 1_000_000


def parse_yaml(text: str) -> dict[str, Any]:
    """Read nested values from YAML text.

    Raises:
        SpecError: When the text is not YAML, not a mapping, or larger than 1 MB.
    """
    if len(text.encode()) > MAX_YAML_BYTES:
        raise SpecError.at("", "the file is larger than 1 MB; a spec has a few dozen lines")
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise SpecError.at("", f"the text is not valid YAML{where}") from error
    if not isinstance(values, dict):
        raise SpecError.at("", "the file holds no fields; start with 'preset: rtn'")
    return values


def to_yaml(spec: Subject) -> str:
    """Write the complete spec as YAML, fields in the order of the form."""
    values = spec.model_dump(mode="json")
    values = {key: values[key] for key in ("version", "kind")} | values
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
