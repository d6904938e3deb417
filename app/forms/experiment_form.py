"""The sections of an experiment on a page: a card each, a column per variant, the rare folded away.

What the values mean is not known here. Start with `build_form`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from app.forms.fields import Condition, FormField, Group, Section, list_general, list_sections
from app.forms.values import holds
from app.forms.widgets import build_widget
from app.text import new_experiment as text


@dataclass(frozen=True)
class Switched:
    """Something that is shown only where its conditions hold."""

    block: Any
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class ExperimentForm:
    """The built form.

    Attributes:
        fields: Every field, in the order in which handlers take their values.
        widgets: Their components, in the same order.
        switched: Variants and single fields that appear and disappear.
    """

    fields: tuple[FormField, ...]
    widgets: tuple[Component, ...]
    switched: tuple[Switched, ...]


def build_form() -> ExperimentForm:
    """Build every section inside the open block."""
    built: dict[FormField, Component] = {}
    switched: list[Switched] = []
    _build_general(built)
    for section in list_sections():
        with gr.Column(elem_classes="bd-card bd-section", elem_id=f"section-{section.name}"):
            _build_section(section, built, switched)
    return ExperimentForm(tuple(built), tuple(built.values()), tuple(switched))


def show_switched(form: ExperimentForm, current: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one Gradio update per switched block, for the values of the moment by path."""
    return [
        gr.update(visible=all(holds(condition, current) for condition in item.conditions))
        for item in form.switched
    ]


def _build_general(built: dict[FormField, Component]) -> None:
    general = list_general()
    with gr.Column(elem_classes="bd-card bd-section", elem_id="section-general"):
        with gr.Column(elem_classes="bd-fields"):
            for field in general:
                if not field.advanced:
                    built[field] = build_widget(field)
        _build_advanced([field for field in general if field.advanced], built, [], "general")


def _build_section(
    section: Section, built: dict[FormField, Component], switched: list[Switched]
) -> None:
    gr.Markdown(f"## {section.title}\n\n{section.help}", elem_classes="bd-section-title")
    if section.switch is not None:
        built[section.switch] = build_switch(section.switch)
    for group in section.groups:
        _build_group(section, group, built, switched)


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


def _build_group(
    section: Section,
    group: Group,
    built: dict[FormField, Component],
    switched: list[Switched],
) -> None:
    name = f"{section.name}-{group.tag}" if group.tag else section.name
    is_default = section.switch is None or group.tag == section.switch.default
    with gr.Column(elem_id=f"group-{name}", elem_classes="bd-group", visible=is_default) as column:
        if group.lead:
            gr.Markdown(group.lead, elem_classes="bd-group-lead")
        plain = [field for field in group.fields if not field.advanced]
        if plain:
            with gr.Column(elem_classes="bd-fields"):
                _build_fields(plain, built, switched)
        _build_advanced([field for field in group.fields if field.advanced], built, switched, name)
    if section.switch is not None and group.tag is not None:
        switched.append(Switched(column, (Condition(section.switch.path, (group.tag,)),)))


def _build_advanced(
    fields: list[FormField],
    built: dict[FormField, Component],
    switched: list[Switched],
    name: str,
) -> None:
    if not fields:
        return
    with (
        gr.Accordion(
            text.ADVANCED, open=False, elem_id=f"advanced-{name}", elem_classes="bd-advanced"
        ),
        gr.Column(elem_classes="bd-fields"),
    ):
        _build_fields(fields, built, switched)


def _build_fields(
    fields: list[FormField], built: dict[FormField, Component], switched: list[Switched]
) -> None:
    for field in fields:
        built[field] = build_widget(field)
        inner = tuple(c for c in field.conditions if "." in c.path and not _is_variant(c, field))
        if inner:
            switched.append(Switched(built[field], inner))


def _is_variant(condition: Condition, field: FormField) -> bool:
    """Whether the condition is the choice of the whole variant, which its column answers."""
    return condition is field.conditions[0] and "[" in field.key
