"""The form of a sensitivity run: what is measured, how, on which text; the rest is folded away.

Fields, limits and help are those of `engine.specs.sensitivity`. What does not matter to it, such as
the width of the quantizer, is left out. Start with `build_sensitivity_form`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from app.forms.experiment_form import SpecForm, build_sections
from app.forms.fields import (
    Condition,
    FormField,
    Group,
    Section,
    build_plain_fields,
    build_sections_of,
)
from app.text import sensitivity as text
from engine.specs import SensitivitySpec

SUBJECT = ("model", "quantizer")
"""What a training run brings along."""
OWN = ("unit", "widths", "start_bits", "start_map", "name", "seed")
FOLDED_OWN = frozenset({"start_map", "name", "seed"})
FLOAT = "float"
UNUSED = ("quantizer.bits", "quantizer.mixing", "quantizer.layer_bits")
"""Units are taken to widths that are asked for, whatever the quantizer's own."""
FOLDED = ("model.head", "quantizer.symmetry", "quantizer.inputs", "quantizer.cache")
TASK_FIELDS = ("evaluation.benchmarks", "evaluation.benchmark_limit", "evaluation.num_fewshot")
ON_TASKS = (
    Condition("method.method", ("ablation",)),
    Condition("method.measured_on", ("tasks",)),
)


@dataclass(frozen=True)
class SensitivityForm(SpecForm):
    """The built form.

    Attributes:
        subject: The card with model and quantizer, which a training run brings along.
    """

    subject: gr.Column


def list_sensitivity_sections() -> tuple[Section, ...]:
    """Return the sections in the order of the page: model, quantizer, method, own, text, tasks."""
    model, quantizer, method, calibration, tasks = build_sections_of(
        SensitivitySpec, (*SUBJECT, "method", "calibration", "evaluation")
    )
    return (
        _narrow(model),
        _narrow(quantizer),
        method,
        _build_own(),
        calibration,
        _only_tasks(tasks),
    )


def build_sensitivity_form() -> SensitivityForm:
    """Build the cards inside the open block."""
    model, quantizer, *how = list_sensitivity_sections()
    with gr.Column(elem_classes="bd-card bd-section", elem_id="section-subject") as subject:
        gr.Markdown(f"## {text.NEW_SUBJECT}", elem_classes="bd-section-title")
        first = build_sections([model, quantizer])
    with gr.Column(elem_classes="bd-card bd-section", elem_id="section-how"):
        gr.Markdown(f"## {text.NEW_HOW}", elem_classes="bd-section-title")
        rest = build_sections(how)
    return SensitivityForm(
        (*first.fields, *rest.fields),
        (*first.widgets, *rest.widgets),
        (*first.switched, *rest.switched),
        subject,
    )


def list_sensitivity_fields() -> tuple[FormField, ...]:
    """Return every field of the form, in the order in which handlers take their values."""
    return tuple(field for part in list_sensitivity_sections() for field in part.list_fields())


def _narrow(section: Section) -> Section:
    """Leave out what changes no score, and fold away what few people change."""
    groups = tuple(
        Group(group.tag, group.lead, tuple(_fold(each) for each in group.fields if _is_used(each)))
        for group in section.groups
        if group.tag != FLOAT
    )
    switch = section.switch
    if switch is not None:
        choices = tuple(choice for choice in switch.choices if choice != FLOAT)
        switch = replace(switch, choices=choices)
    return replace(section, switch=switch, groups=groups)


def _build_own() -> Section:
    fields = tuple(
        replace(field, advanced=field.path in FOLDED_OWN)
        for field in build_plain_fields(SensitivitySpec, OWN)
    )
    return Section("own", "", "", None, (Group(None, "", fields),))


def _only_tasks(section: Section) -> Section:
    """Keep which benchmarks are asked and how, shown where units are measured on them."""
    fields = {field.path: field for field in section.list_fields()}
    kept = tuple(
        replace(fields[path], advanced=False, conditions=(*ON_TASKS, *fields[path].conditions))
        for path in TASK_FIELDS
    )
    return replace(section, groups=(Group(None, "", kept),))


def _is_used(field: FormField) -> bool:
    return not any(field.path == path or field.path.startswith(f"{path}.") for path in UNUSED)


def _fold(field: FormField) -> FormField:
    is_folded = any(field.path == path or field.path.startswith(f"{path}.") for path in FOLDED)
    return replace(field, advanced=field.advanced or is_folded)
