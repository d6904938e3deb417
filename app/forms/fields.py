"""From specs to form fields, as plain values: what a page must show, read off the specs alone.

No Gradio here. A union is a `Choice` of variants; a nested spec is flattened under its own heading.
Start with `list_sections`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.forms.kinds import FieldKind, find_limit, read_kind
from engine.specs import (
    ExperimentSpec,
    GradientAttack,
    LayerBitsMap,
    RandomMap,
    RankEvaluationSpec,
    RankSearchSpec,
)

_LONG_CHARACTERS = 300
# Fixed by what the form is for; a person has nothing to choose.
_FIXED = frozenset({"version", "kind"})
# What flows through layers is asked after how their weights are rounded.
_LAST = ("inputs", "cache")


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
            it, "lines" a list of texts, "integers" one of whole numbers and "numbers" one of any
            numbers, one per line.
        help: The spec's own sentence.
        choices: Accepted values of a "choice", and the whole numbers among those of a "dial".
        long: True where many characters are usual.
        optional: True where empty means None.
        conditions: All must hold for the field to matter.
        part: Path of the union inside a variant to which the field belongs; empty for none.
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
    part: str = ""

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
    return build_sections_of(RankSearchSpec, ("search", "objective"))


def build_sections_of(spec: type[BaseModel], names: Iterable[str]) -> tuple[Section, ...]:
    """Return sections of these nested fields of a spec."""
    return tuple(_build_section(name, spec.model_fields[name]) for name in names)


def build_plain_fields(spec: type[BaseModel], names: Iterable[str]) -> tuple[FormField, ...]:
    """Return these plain fields of a spec."""
    return tuple(_build_field(spec.model_fields[name], _Place(name, name)) for name in names)


def build_ranks_field() -> FormField:
    """Return the list of ranks that an evaluation asks for."""
    return replace(build_plain_fields(RankEvaluationSpec, ("ranks",))[0], long=True)


def list_random_fields() -> tuple[FormField, ...]:
    """Return what a layer map that draws widths asks."""
    return tuple(_iter_fields(RandomMap, _Place("maps", "maps"), skip="map"))


def list_named_fields() -> tuple[FormField, ...]:
    """Return what a layer map of single layers asks: its name, and its lines."""
    return tuple(_iter_fields(LayerBitsMap, _Place("maps", "maps"), skip="map"))


def list_attack_fields() -> tuple[FormField, ...]:
    """Return what an attack asks."""
    return tuple(_iter_fields(GradientAttack, _Place("attack", "attack"), skip="attack"))


def list_general() -> tuple[FormField, ...]:
    """Return the experiment's own plain fields: name and seed."""
    own = ExperimentSpec.model_fields.items()
    plain = [name for name, info in own if not _is_nested(info) and name not in _FIXED]
    return build_plain_fields(ExperimentSpec, plain)


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
    lead = cls.model_fields[tag].description or ""
    return Group(value, lead, _tell_apart(tuple(fields)))


def _tell_apart(fields: tuple[FormField, ...]) -> tuple[FormField, ...]:
    """Return a group's fields, those of inner unions titled after these where titles are shared."""
    paths: dict[str, set[str]] = {}
    for field in fields:
        paths.setdefault(field.title, set()).add(field.path)
    unions: dict[str, str] = {}
    told = []
    for field in fields:
        union = unions.setdefault(field.part, field.title)  # its switch comes first
        is_shared = bool(field.part) and len(paths[field.title]) > 1 and union != field.title
        title = f"{union}: {field.title.lower()}" if is_shared else field.title
        told.append(replace(field, title=title))
    return tuple(told)


def _iter_fields(cls: type[BaseModel], place: _Place, *, skip: str = "") -> Iterator[FormField]:
    late = [name for name in _LAST if name in cls.model_fields]
    for name in [*(each for each in cls.model_fields if each not in late), *late]:
        info = cls.model_fields[name]
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
    yield replace(switch, part=place.path)
    tag = switch.path.rpartition(".")[2]
    for value, cls in _variants_of(info).items():
        key = f"{place.key}[{value}]"
        inner = _Place(place.path, key, (*place.conditions, Condition(switch.path, (value,))))
        default = info.default if isinstance(info.default, cls) else None
        for inner_field in _iter_fields(cls, inner, skip=tag):
            field = replace(inner_field, part=place.path)
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
    kind, choices, optional = read_kind(info)
    return FormField(
        key=place.key,
        path=place.path,
        kind=kind,
        title=info.title or place.path,
        help=info.description or "",
        default=None if info.default is PydanticUndefined else info.default,
        unit=extra.get("unit"),
        choices=choices,
        long=find_limit(info, "max_length", 0) >= _LONG_CHARACTERS,
        optional=optional,
        advanced=bool(extra.get("advanced")),
        conditions=place.conditions,
    )
