"""From what a person wrote to a complete spec: preset, then file, then overrides.

`resolve` is the only way in; it raises one `SpecError` that lists every problem. `iter_provenance`
tells which values were set and which defaulted; `to_yaml` writes a spec back. Reading the file
itself is left to the caller.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ValidationError

from engine.errors import Problem, SpecError
from engine.specs.experiment import ExperimentSpec, iter_conflicts
from engine.specs.presets import PRESETS, find_preset

Origin = Literal["set", "preset", "default"]
MAX_YAML_BYTES = 1_000_000


@dataclass(frozen=True)
class ResolvedSpec:
    """A complete spec with what was asked to get it.

    Attributes:
        spec: Every field has its value.
        asked: Nested values the person wrote (file and overrides), without preset and defaults.
        preset: Name of the preset underneath, or None.
    """

    spec: ExperimentSpec
    asked: dict[str, Any]
    preset: str | None


def resolve(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> ResolvedSpec:
    """Build the complete spec from nested values and `KEY=VALUE` overrides.

    Args:
        values: Nested fields, as read from YAML; may hold `preset: NAME`. Not modified.
        overrides: "quantizer.bits=3" and the like; values are read as YAML.

    Raises:
        SpecError: With one problem for each field that cannot be accepted.
    """
    if not isinstance(values, Mapping):
        raise SpecError.at("", "the spec is not a mapping of fields; start with 'preset: rtn'")
    asked = _merge({}, values)
    for override in overrides:
        asked = _merge(asked, _parse_override(override))
    name = asked.pop("preset", None)
    return ResolvedSpec(_validate(_merge(_preset_values(name), asked)), asked, name)


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


def to_yaml(spec: ExperimentSpec) -> str:
    """Write the complete spec as YAML, fields in the order of the form."""
    values = spec.model_dump(mode="json")
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def iter_provenance(resolved: ResolvedSpec) -> Iterator[tuple[str, Any, Origin]]:
    """Yield every field's dotted path, value and where the value came from."""
    preset = find_preset(resolved.preset or "")
    asked = set(_iter_paths(resolved.asked))
    from_preset = set(_iter_paths(preset.values)) if preset else set()
    for path, value in _iter_leaves(resolved.spec.model_dump(mode="json")):
        origin: Origin = "default"
        if path in asked:
            origin = "set"
        elif path in from_preset:
            origin = "preset"
        yield path, value, origin


def _preset_values(name: object) -> Mapping[str, Any]:
    if name is None:
        return {}
    preset = find_preset(name) if isinstance(name, str) else None
    if preset is None:
        known = ", ".join(preset.name for preset in PRESETS)
        raise SpecError.at("preset", f"there is no preset {name!r}; choose one of {known}")
    return preset.values


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `over` upon `base`, mapping by mapping; a changed variant drops the old one's fields."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge({} if _changes_variant(below, value) else below, value)
        else:
            merged[key] = _merge({}, value) if isinstance(value, Mapping) else value
    return merged


def _changes_variant(below: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    """Whether `over` names another member of a union than `below` does."""
    tags = ("grid", "kind", "method")
    return any(tag in over and tag in below and over[tag] != below[tag] for tag in tags)


def _parse_override(text: str) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise SpecError.at("", f"{text!r} is not KEY=VALUE, such as quantizer.bits=3")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SpecError.at(key, f"{value!r} is not a value YAML can read") from error
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return dict(nested)


def _validate(values: Mapping[str, Any]) -> ExperimentSpec:
    try:
        spec = ExperimentSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(*(_problem(item) for item in error.errors())) from None
    problems = tuple(iter_conflicts(spec))
    if problems:
        raise SpecError(*problems)
    return spec


def _problem(item: Any) -> Problem:
    """Turn one of pydantic's findings into a sentence that says what would be accepted."""
    owner, path = _owner(item["loc"])
    field = ".".join(path)
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], owner.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else "known: " + ", ".join(owner.model_fields)
        return Problem(field, f"there is no such field; {hint}")
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        return Problem(f"{field}.{tag}", "is missing; it decides which other fields there are")
    if kind == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        return Problem(
            f"{field}.{tag}", f"{context['tag']!r} is not one of {context['expected_tags']}"
        )
    message = item["msg"][:1].lower() + item["msg"][1:]
    given = item.get("input")
    shown = "" if isinstance(given, dict | BaseModel) else f", not {str(given)[:60]!r}"
    return Problem(field, message + shown)


def _owner(location: tuple[Any, ...]) -> tuple[type[BaseModel], list[str]]:
    """Walk pydantic's location to the spec class it ends in and the path without union tags."""
    owner: type[BaseModel] = ExperimentSpec
    path: list[str] = []
    variants: dict[str, type[BaseModel]] = {}
    for part in map(str, location):
        if part in variants:
            owner, variants = variants[part], {}
            continue
        path.append(part)
        field = owner.model_fields.get(part)
        if field is None:
            continue
        if field.discriminator:
            tag = str(field.discriminator)
            classes = get_args(field.annotation)
            variants = {str(cls.model_fields[tag].default): cls for cls in classes}
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            owner = field.annotation
    return owner, path


def _iter_leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _iter_leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _iter_paths(values: Mapping[str, Any]) -> Iterator[str]:
    return (path for path, _ in _iter_leaves(values))
