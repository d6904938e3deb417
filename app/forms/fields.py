"""From specs to form fields, as plain values: what a page must show, read off the specs alone.

No Gradio here. A union is a `Choice` of variants; a nested spec is flattened under its own heading.
Start with `list_sections`.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.specs import ExperimentSpec, RankEvaluationSpec, RankSearchSpec

FieldKind = Literal["text", "integer", "number", "flag", "choice", "dial", "lines", "integers"]
_DIAL_STEPS = range(3, 8)
_LONG_CHARACTERS = 300
# Fixed by what the form is for; a person has nothing to choose.
_FIXED = frozenset({"version", "kind"})


@dataclass(frozen=True)
class Condition:
    """True where the field at `path` holds one of `values`; see `app.forms.values.holds`."""

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class FormField:
    """One field of a spec as the form shows it.

    Attributes:
        key: Unique name in the form: the path, with the variant it belongs to.
        path: Dotted path in the spec; two variants may share one.
        kind: What is typed or chosen: "dial" is a number with a short row of whole numbers beside
            it, "lines" a list of texts and "integers" one of whole numbers, one per line.
        help: The spec's own sentence.
        choices: Accepted values of a "choice", and the whole numbers among those of a "dial".
        long: True where many characters are usual.
        optional: True where empty means None.
        conditions: All must hold for the field to matter.
    """

    key: str
    path: str
    kind: FieldKind
    title: str
    help: str
    default: Any
    unit: str | None
    choices: tuple[Any, ...]
    long: bool
    optional: bool
    advanced: bool
    conditions: tuple[Condition, ...]

    @property
    def label(self) -> str:
        """The title, with its unit where the title does not name it."""
        named = self.unit is None or self.unit in self.title.lower()
        return self.title if named else f"{self.title} ({self.unit})"

    @property
    def element(self) -> str:
        """Id of the widget's element on the page."""
        return "field-" + self.key.replace("[", "-").replace("]", "").replace(".", "-")


@dataclass(frozen=True)
class Group:
    """Fields that appear together: a whole plain spec or one variant of a union.

    Attributes:
        tag: The variant's value of the section's switch, or None for a plain spec.
        lead: A sentence about the variant.
        fields: In the order of the spec.
    """

    tag: str | None
    lead: str
    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class Section:
    """One axis of an experiment.

    Attributes:
        name: The field of the experiment ("quantizer").
        switch: The field that chooses the variant, or None where there is only one.
    """

    name: str
    title: str
    help: str
    switch: FormField | None
    groups: tuple[Group, ...]

    def list_fields(self) -> tuple[FormField, ...]:
        """Return the switch and every group's fields, in the order of the page."""
        own = (self.switch,) if self.switch else ()
        return own + tuple(field for group in self.groups for field in group.fields)


@dataclass(frozen=True)
class _Place:
    """Where in the spec and in the form a class's fields stand, and when they matter."""

    path: str
    key: str
    conditions: tuple[Condition, ...] = ()

    def below(self, name: str) -> _Place:
        return _Place(f"{self.path}.{name}", f"{self.key}.{name}", self.conditions)

    def only(self, conditions: tuple[Condition, ...]) -> _Place:
        return _Place(self.path, self.key, self.conditions + conditions)


def list_sections() -> tuple[Section, ...]:
    """Return the sections of an experiment in the order of the spec."""
    return tuple(
        _build_section(name, info)
        for name, info in ExperimentSpec.model_fields.items()
        if _is_nested(info)
    )


def list_search_sections() -> tuple[Section, ...]:
    """Return what a rank search asks beyond its training run: how, and what it compares on."""
    own = RankSearchSpec.model_fields
    return tuple(_build_section(name, own[name]) for name in ("search", "objective"))


def build_ranks_field() -> FormField:
    """Return the list of ranks that an evaluation asks for."""
    field = _build_field(RankEvaluationSpec.model_fields["ranks"], _Place("ranks", "ranks"))
    return replace(field, long=True)


def list_general() -> tuple[FormField, ...]:
    """Return the experiment's own plain fields: name and seed."""
    return tuple(
        _build_field(info, _Place(name, name))
        for name, info in ExperimentSpec.model_fields.items()
        if not _is_nested(info) and name not in _FIXED
    )


def list_fields() -> tuple[FormField, ...]:
    """Return every field of the form, in the order in which handlers take their values."""
    fields = list(list_general())
    for section in list_sections():
        fields.extend(section.list_fields())
    return tuple(fields)


def _is_nested(info: FieldInfo) -> bool:
    return bool(info.discriminator) or _spec_class(info.annotation) is not None


def _spec_class(annotation: Any) -> type[BaseModel] | None:
    is_spec = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_spec else None


def _build_section(name: str, info: FieldInfo) -> Section:
    title, help_text = info.title or name, info.description or ""
    plain = _spec_class(info.annotation)
    if plain is not None:
        group = Group(None, "", tuple(_iter_fields(plain, _Place(name, name))))
        return Section(name, title, help_text, None, (group,))
    switch = _build_switch(info, _Place(name, name))
    tag, variants = str(info.discriminator), _variants_of(info)
    groups = tuple(_build_variant(name, tag, value, cls) for value, cls in variants.items())
    return Section(name, title, help_text, switch, groups)


def _variants_of(info: FieldInfo) -> dict[str, type[BaseModel]]:
    """Return a union's classes by the value that chooses each."""
    tag = str(info.discriminator)
    return {str(cls.model_fields[tag].default): cls for cls in get_args(info.annotation)}


def _build_switch(info: FieldInfo, place: _Place) -> FormField:
    """Build the field that chooses a union's variant."""
    tag, variants = str(info.discriminator), _variants_of(info)
    first = next(iter(variants.values())).model_fields[tag]
    return FormField(
        key=f"{place.key}.{tag}",
        path=f"{place.path}.{tag}",
        kind="choice",
        title=first.title or tag,
        help=info.description or "",
        default=getattr(info.default, tag),
        unit=None,
        choices=tuple(variants),
        long=False,
        optional=False,
        advanced=False,
        conditions=place.conditions,
    )


def _build_variant(section: str, tag: str, value: str, cls: type[BaseModel]) -> Group:
    chosen = (Condition(f"{section}.{tag}", (value,)),)
    fields = _iter_fields(cls, _Place(section, f"{section}[{value}]", chosen), skip=tag)
    return Group(value, cls.model_fields[tag].description or "", tuple(fields))


def _iter_fields(cls: type[BaseModel], place: _Place, *, skip: str = "") -> Iterator[FormField]:
    for name, info in cls.model_fields.items():
        nested = _spec_class(info.annotation)
        if info.discriminator:
            yield from _iter_union(info, _place_below(name, info, place))
        elif nested is not None:
            yield from _iter_nested(nested, info, _place_below(name, info, place))
        elif name != skip:
            yield _build_field(info, _place_below(name, info, place))


def _iter_nested(cls: type[BaseModel], info: FieldInfo, place: _Place) -> Iterator[FormField]:
    """Yield a nested spec's fields; its first field is titled after the whole."""
    for index, field in enumerate(_iter_fields(cls, place)):
        name = field.path.rpartition(".")[2]
        title = info.title if index == 0 else f"{info.title}: {field.title.lower()}"
        yield replace(field, title=title or field.title, default=getattr(info.default, name))


def _iter_union(info: FieldInfo, place: _Place) -> Iterator[FormField]:
    """Yield the choice of a union below a section, then every variant's fields."""
    switch = _build_switch(info, place)
    yield switch
    tag = switch.path.rpartition(".")[2]
    for value, cls in _variants_of(info).items():
        key = f"{place.key}[{value}]"
        inner = _Place(place.path, key, (*place.conditions, Condition(switch.path, (value,))))
        default = info.default if isinstance(info.default, cls) else None
        for field in _iter_fields(cls, inner, skip=tag):
            name = field.path.rpartition(".")[2]
            yield replace(field, default=getattr(default, name)) if default else field


def _place_below(name: str, info: FieldInfo, parent: _Place) -> _Place:
    """Return where a field stands, with what its own spec says about when it matters."""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    shown_when: Any = extra.get("shown_when") or {}
    own = tuple(Condition(f"{parent.path}.{key}", tuple(v)) for key, v in shown_when.items())
    return parent.below(name).only(own)


def _build_field(info: FieldInfo, place: _Place) -> FormField:
    extra: Any = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    annotation, optional = _without_none(info.annotation)
    kind, choices = _kind_of(annotation, info)
    return FormField(
        key=place.key,
        path=place.path,
        kind=kind,
        title=info.title or place.path,
        help=info.description or "",
        default=None if info.default is PydanticUndefined else info.default,
        unit=extra.get("unit"),
        choices=choices,
        long=_limit(info, "max_length", 0) >= _LONG_CHARACTERS,
        optional=optional,
        advanced=bool(extra.get("advanced")),
        conditions=place.conditions,
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return inner[0], len(inner) < len(get_args(annotation))


def _kind_of(annotation: Any, info: FieldInfo) -> tuple[FieldKind, tuple[Any, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if get_origin(annotation) is tuple:
        return ("integers" if get_args(annotation)[0] is int else "lines"), ()
    dial = _dial_of(info)
    if dial:
        return "dial", dial
    simple: dict[Any, FieldKind] = {bool: "flag", int: "integer", float: "number", str: "text"}
    return simple[annotation], ()


def _dial_of(info: FieldInfo) -> tuple[int, ...]:
    """Return all accepted whole numbers where they are few and not just the ends of a share."""
    low, high = _limit(info, "ge", None), _limit(info, "le", None)
    if low is None or high is None or int(high - low) not in _DIAL_STEPS:
        return ()
    return tuple(range(int(low), int(high) + 1))


def _limit(info: FieldInfo, name: str, otherwise: Any) -> Any:
    """Return one of pydantic's limits of a field ("ge", "le", "max_length")."""
    return next((getattr(m, name) for m in info.metadata if hasattr(m, name)), otherwise)
