"""The sections of an experiment on a page: a card each, a column per variant, the rare folded away.

What the values mean is not known here. Start with `build_form`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import gradio as gr
from gradio.components import Component

from app.components.field_note import FieldNote
from app.forms.fields import Condition, FormField, Group, Section, list_general, list_sections
from app.forms.values import holds
from app.forms.widgets import build_widget
from app.text import new_experiment as text

RANK_SPACE = "adapter.rank_space"


@dataclass(frozen=True)
class Switched:
    """Something that is shown only where its conditions hold."""

    block: Any
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class SpecForm:
    """The built form.

    Attributes:
        fields: Every field, in the order in which handlers take their values.
        widgets: Their components, in the same order.
        switched: Variants and single fields that appear and disappear.
    """

    fields: tuple[FormField, ...]
    widgets: tuple[Component, ...]
    switched: tuple[Switched, ...]


@dataclass(frozen=True)
class ExperimentForm(SpecForm):
    """The form of an experiment, with the sentence under its rank space."""

    note: FieldNote


@dataclass(frozen=True)
class _Parts:
    """What is built so far; `notes` stand under the fields at these paths."""

    built: dict[FormField, Component] = field(default_factory=dict)
    switched: list[Switched] = field(default_factory=list)
    notes: Mapping[str, FieldNote] = field(default_factory=dict)


def build_form() -> ExperimentForm:
    """Build every section inside the open block."""
    note = FieldNote(elem_id="note-rank-space", render=False)
    parts = _Parts(notes={RANK_SPACE: note})
    _build_general(parts)
    for section in list_sections():
        with gr.Column(elem_classes="bd-card bd-section", elem_id=f"section-{section.name}"):
            _build_section(section, parts)
    fields, widgets = tuple(parts.built), tuple(parts.built.values())
    return ExperimentForm(fields, widgets, tuple(parts.switched), note)


def build_sections(sections: Sequence[Section]) -> SpecForm:
    """Build sections inside the open block without cards of their own, as panels have them."""
    parts = _Parts()
    for section in sections:
        if section.switch is not None:
            parts.built[section.switch] = build_widget(section.switch)
        for group in section.groups:
            _build_group(section, group, parts)
    return SpecForm(tuple(parts.built), tuple(parts.built.values()), tuple(parts.switched))


def show_switched(form: SpecForm, current: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one Gradio update per switched block, for the values of the moment by path."""
    return [
        gr.update(visible=all(holds(condition, current) for condition in item.conditions))
        for item in form.switched
    ]


def _build_general(parts: _Parts) -> None:
    general = list_general()
    with gr.Column(elem_classes="bd-card bd-section", elem_id="section-general"):
        with gr.Column(elem_classes="bd-fields"):
            _build_fields([each for each in general if not each.advanced], parts)
        _build_advanced([each for each in general if each.advanced], parts, "general")


def _build_section(section: Section, parts: _Parts) -> None:
    gr.Markdown(f"## {section.title}\n\n{section.help}", elem_classes="bd-section-title")
    if section.switch is not None:
        parts.built[section.switch] = build_switch(section.switch)
    for group in section.groups:
        _build_group(section, group, parts)


def build_switch(field: FormField) -> Component:
    """Build the row of buttons that chooses a section's variant; its help is the section's."""
    return gr.Radio(
        choices=[(str(choice), choice) for choice in field.choices],
        value=field.default,
        label=field.title,
        show_label=False,
        elem_id=field.element,
        elem_classes=["bd-field", "bd-switch"],
    )


def _build_group(section: Section, group: Group, parts: _Parts) -> None:
    name = f"{section.name}-{group.tag}" if group.tag else section.name
    is_default = section.switch is None or group.tag == section.switch.default
    with gr.Column(elem_id=f"group-{name}", elem_classes="bd-group", visible=is_default) as column:
        if group.lead:
            gr.Markdown(group.lead, elem_classes="bd-group-lead")
        plain = [each for each in group.fields if not each.advanced]
        for part, fields in groupby(plain, key=lambda each: each.part):
            with gr.Column(elem_classes=["bd-fields", *(["bd-part"] if part else [])]):
                _build_fields(tuple(fields), parts)
        _build_advanced([each for each in group.fields if each.advanced], parts, name)
    if section.switch is not None and group.tag is not None:
        chosen = (Condition(section.switch.path, (group.tag,)),)
        parts.switched.append(Switched(column, chosen))


def _build_advanced(fields: list[FormField], parts: _Parts, name: str) -> None:
    if not fields:
        return
    with (
        gr.Accordion(
            text.ADVANCED, open=False, elem_id=f"advanced-{name}", elem_classes="bd-advanced"
        ),
        gr.Column(elem_classes="bd-fields"),
    ):
        _build_fields(fields, parts)


def _build_fields(fields: Sequence[FormField], parts: _Parts) -> None:
    for each in fields:
        inner = tuple(c for c in each.conditions if "." in c.path and not _is_variant(c, each))
        # Told to hide, a custom component of Gradio's loses its texts; a column around it does not.
        is_held = bool(inner) and each.kind == "dial"
        with gr.Column(elem_classes="bd-held") if is_held else nullcontext() as holder:
            widget = parts.built[each] = build_widget(each)
        if inner:
            parts.switched.append(Switched(holder or widget, inner))
        if each.path in parts.notes:
            parts.notes[each.path].render()


def _is_variant(condition: Condition, field: FormField) -> bool:
    """Whether the condition is the choice of the whole variant, which its column answers."""
    return condition is field.conditions[0] and "[" in field.key
