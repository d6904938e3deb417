"""From what a person wrote to a complete spec: preset, then file, then overrides.

`resolve` is the only way in for experiments, `resolve_child` for runs that build on another; both
raise one `SpecError` that lists every problem. `load_spec` reads back what was stored.
`iter_provenance` tells which values were set and which defaulted. Specs as text are
`engine.specs.yaml_text`'s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from engine.errors import Problem, SpecError
from engine.specs.experiment import ExperimentSpec, iter_conflicts
from engine.specs.map_evaluation import MapEvaluationSpec
from engine.specs.presets import PRESETS, find_preset
from engine.specs.rank_search import RankEvaluationSpec, RankSearchSpec
from engine.specs.sensitivity import SensitivitySpec
from engine.specs.subject import Subject

ChildSpec = RankSearchSpec | RankEvaluationSpec | MapEvaluationSpec
"""Runs that always build on a training run."""
RunSpec = ExperimentSpec | ChildSpec | SensitivitySpec
Kind = TypeVar("Kind", bound=Subject)
Child = TypeVar("Child", RankSearchSpec, RankEvaluationSpec, MapEvaluationSpec, SensitivitySpec)
KINDS: Mapping[str, type[RunSpec]] = MappingProxyType(
    {
        "experiment": ExperimentSpec,
        "search": RankSearchSpec,
        "evaluation": RankEvaluationSpec,
        "map-evaluation": MapEvaluationSpec,
        "sensitivity": SensitivitySpec,
    }
)
INHERITED = ("model", "quantizer", "adapter", "initialization", "training")
Origin = Literal["set", "preset", "default"]
ANY_LIST = "[16, 8] or one per line"
LISTS: Mapping[str, str] = MappingProxyType(
    {
        "maps": "[{map: uniform, bits: 4}]",
        "layer_bits": "['*.mlp.*=4'] or one LAYER=WIDTH per line",
    }
)
"""What a list looks like whose items are no numbers."""


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
    asked = lay_over(values, overrides)
    name = asked.pop("preset", None)
    values = _merge(_preset_values(name), asked)
    return ResolvedSpec(_validate(ExperimentSpec, values), asked, name)


def resolve_child(
    kind: type[Child], experiment: ExperimentSpec, values: Mapping[str, Any]
) -> Child:
    """Build the complete spec of a run that builds on a training run.

    Args:
        kind: Which kind of run.
        experiment: The training run's spec; model, quantizer, adapter, initialization and training
            are its own and cannot be asked for again.
        values: Nested fields: `parent`, and what differs from the defaults. What is measured is the
            training run's setting where `evaluation` says nothing else. Not modified.

    Raises:
        SpecError: With one problem for each field that cannot be accepted.
    """
    given = next((name for name in INHERITED if name in values), None)
    if given is not None:
        raise SpecError.at(given, "is the training run's; leave it out")
    own = experiment.model_dump(mode="json", include={*INHERITED, "evaluation", "seed"})
    return _validate(kind, _merge(own, values))


def resolve_sensitivity(
    values: Mapping[str, Any], overrides: Sequence[str] = ()
) -> SensitivitySpec:
    """Build the complete spec of a sensitivity run of a model as it is.

    Args:
        values: Nested fields that differ from the defaults. Not modified.
        overrides: "method.method=ablation" and the like; values are read as YAML.

    Raises:
        SpecError: With one problem for each field that cannot be accepted.
    """
    if not isinstance(values, Mapping):
        raise SpecError.at("", "the request is not a mapping of fields; give model and method")
    return _validate(SensitivitySpec, lay_over(values, overrides))


def lay_over(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Lay `KEY=VALUE` overrides upon nested values, which stay as they are.

    Raises:
        SpecError: When an override is not KEY=VALUE or its value is not YAML.
    """
    merged = _merge({}, values)
    for override in overrides:
        merged = _merge(merged, _parse_override(override))
    return merged


def load_spec(values: Mapping[str, Any]) -> RunSpec:
    """Read back a complete spec of any kind, as the store keeps it."""
    return KINDS[values.get("kind", "experiment")].model_validate(values)


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
    tags = ("grid", "kind", "method", "rule", "strategy", "rounding", "policy", "map", "attack")
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


def _validate(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    try:
        spec = kind.model_validate(values)
    except ValidationError as error:
        raise SpecError(*(_problem(kind, item) for item in _list_findings(error))) from None
    problems = tuple(iter_conflicts(spec))
    if problems:
        raise SpecError(*problems)
    return spec


def _list_findings(error: ValidationError) -> list[Any]:
    """Return pydantic's findings; a list is not too short where its items could not be read."""
    found = error.errors()
    inside = {item["loc"][:length] for item in found for length in range(1, len(item["loc"]))}
    return [item for item in found if item["type"] != "too_short" or item["loc"] not in inside]


def _problem(kind: type[Subject], item: Any) -> Problem:
    """Turn one of pydantic's findings into a sentence that says what would be accepted."""
    owner, path, variants = _owner(kind, item["loc"])
    field = ".".join(path)
    found, context = item["type"], item.get("ctx", {})
    if found == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], owner.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else "known: " + ", ".join(owner.model_fields)
        return Problem(field, f"there is no such field; {hint}")
    if found == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        tags = ", ".join(map(repr, variants))
        return Problem(
            f"{field}.{tag}", f"is missing; it decides which other fields there are: one of {tags}"
        )
    if found == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        return Problem(
            f"{field}.{tag}", f"{context['tag']!r} is not one of {context['expected_tags']}"
        )
    message = item["msg"][:1].lower() + item["msg"][1:]
    given = item.get("input")
    if (wanted := _wanted_shape(item, path[-1] if path else "")) is not None:
        return Problem(field, wanted)
    if found == "literal_error":
        known = re.findall(r"'([^']+)'", context["expected"])
        close = difflib.get_close_matches(str(given), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose {context['expected']}"
        return Problem(field, f"there is no choice {str(given)[:60]!r}; {hint}")
    is_said = found == "width" or isinstance(given, dict | BaseModel)
    shown = "" if is_said else f", not {str(given)[:60]!r}"
    return Problem(field, message + shown)


def _wanted_shape(item: Any, name: str) -> str | None:
    """Say what a list or one of its items must be; None where its shape is not what is wrong."""
    found, context, given = item["type"], item.get("ctx", {}), f"{str(item.get('input'))[:60]!r}"
    if found == "tuple_type":
        return f"must be a list, such as {LISTS.get(name, ANY_LIST)}, not {given}"
    if found == "too_short":
        return f"must be not empty, not {given}"
    if found == "too_long":
        return f"takes at most {context['max_length']}, not {context['actual_length']}"
    if found in {"model_attributes_type", "model_type", "dict_type"}:
        example = ", such as {map: uniform, bits: 4}" if name.isdigit() else ""  # of many maps
        return f"must be fields with their values{example}, not {given}"
    if found == "missing" and name in LISTS:
        return f"is missing; give a list, such as {LISTS[name]}"
    return None


def _owner(
    kind: type[Subject], location: tuple[Any, ...]
) -> tuple[type[BaseModel], list[str], dict[str, type[BaseModel]]]:
    """Walk pydantic's location to the spec class it ends in and the path without union tags.

    Where it ends in a union, its members by tag come third.
    """
    owner: type[BaseModel] = kind
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
        variants = _list_variants(field.annotation, field.discriminator)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            owner = field.annotation
    return owner, path, variants


def _list_variants(annotation: Any, discriminator: Any) -> dict[str, type[BaseModel]]:
    """Return the members of a union by tag, or those of a list's items; none of anything else."""
    if discriminator is None and get_origin(annotation) is tuple:
        annotation, *notes = get_args(get_args(annotation)[0]) or (None,)
        found = (getattr(note, "discriminator", None) for note in notes)
        discriminator = next((each for each in found if each), None)
    if not discriminator:
        return {}
    tag = str(discriminator)
    return {str(cls.model_fields[tag].default): cls for cls in get_args(annotation)}


def _iter_leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _iter_leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _iter_paths(values: Mapping[str, Any]) -> Iterator[str]:
    return (path for path, _ in _iter_leaves(values))
