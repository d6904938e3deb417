"""Asking on a trained run's page for its scores at other widths. Start with `WidthPanels`.

What to suggest stands in `app.tables.width_offer`, what is asked in `app.forms.asked_maps`. What it
costs is said beside the button while choices change; `launch_widths` queues the run and answers
with its address, or with what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.field_note import FieldNote
from app.components.page_load import FAST, TO_PAGE
from app.components.problem_list import ProblemList
from app.forms.asked_maps import (
    WIDTHS_ELEMENT,
    list_map_fields,
    list_usual_attack_fields,
    place_map_problems,
    read_maps,
)
from app.forms.experiment_form import SpecForm
from app.forms.fields import FormField
from app.forms.values import write_widget
from app.forms.widgets import build_widget
from app.pages.run_finding import Missing, find_asked_run
from app.quantities import write_bytes, write_seconds
from app.services import Services
from app.tables.width_offer import WidthOffer, describe_offer
from app.text import maps as text
from engine.errors import BitdialError, Problem, SpecError
from engine.specs import load_spec
from engine.specs.layer_bits import WIDTHS
from tasks import submit
from tasks.store.records import RunRecord


@dataclass(frozen=True)
class WidthPanels:
    """The card with its form.

    Attributes:
        card: Shown for finished runs with a quantized model.
        problems: What is wrong with what was asked.
        reason: Why nothing can be measured.
        asking: The form, shown where something can.
        widths: One width for all layers, as many as wanted.
        attacked: Whether a classifier is attacked as well.
        attack: How, shown where it is.
        form: Fields of a named map, of one that draws widths, and of the attack.
        estimate: What it will cost.
        launch: Queues the run.
    """

    card: gr.Column
    problems: ProblemList
    reason: FieldNote
    asking: gr.Column
    widths: gr.CheckboxGroup
    attacked: gr.Checkbox
    attack: gr.Column
    form: SpecForm
    estimate: FieldNote
    launch: gr.Button

    def list_outputs(self) -> list[Any]:
        """Return what `show_widths` answers for."""
        return [
            self.card, self.reason, self.asking, self.widths, self.attacked, self.attack,
            self.estimate,
        ]  # fmt: skip

    def list_inputs(self) -> list[Any]:
        """Return what `launch_widths` takes, in its order."""
        return [self.widths, self.attacked, *self.form.widgets]


def list_asked_fields() -> tuple[FormField, ...]:
    """Return the fields of the form, in the order in which handlers take their values."""
    return (*list_map_fields(), *list_usual_attack_fields())


def build_width_panels() -> WidthPanels:
    """Build the card inside the open column, hidden."""
    with gr.Column(visible=False, elem_id="other-widths", elem_classes="bd-card") as card:
        gr.Markdown(f"## {text.OFFER}\n\n{text.OFFER_NOTE}", elem_classes="bd-section-title")
        problems = ProblemList(elem_id="width-problems")
        reason = FieldNote(elem_id="no-widths")
        with gr.Column(visible=False, elem_id="asked-widths", elem_classes="bd-group") as asking:
            with gr.Column(elem_classes="bd-fields"):
                widths = gr.CheckboxGroup(
                    choices=list(WIDTHS),
                    label=text.WIDTHS,
                    info=text.WIDTHS_HELP,
                    elem_id=WIDTHS_ELEMENT,
                    elem_classes=["bd-field", "bd-field-wide"],
                )
                maps = [build_widget(field) for field in list_map_fields()]
                attacked = gr.Checkbox(
                    label=text.ATTACKED,
                    info=text.ATTACKED_HELP,
                    visible=False,
                    elem_id="attacked",
                    elem_classes=["bd-field", "bd-field-wide"],
                )
            with (
                gr.Column(visible=False, elem_id="asked-attack") as attack,
                gr.Column(elem_classes="bd-fields"),
            ):
                how = [build_widget(field) for field in list_usual_attack_fields()]
            estimate = FieldNote(elem_id="width-estimate")
            launch = gr.Button(text.LAUNCH, variant="primary", elem_id="launch-widths")
    form = SpecForm(list_asked_fields(), (*maps, *how), ())
    return WidthPanels(
        card, problems, reason, asking, widths, attacked, attack, form, estimate, launch
    )


def hide_widths() -> list[Any]:
    """Answer for a page on which nothing can be measured."""
    hidden = gr.Column(visible=False)
    return [hidden, "", hidden, gr.skip(), gr.skip(), hidden, ""]


def show_widths(services: Services, run: RunRecord) -> list[Any]:
    """Return the card with what to suggest and what that costs, or why there is nothing."""
    is_quantized = (run.spec.get("quantizer") or {}).get("grid", "float") != "float"
    if run.kind != "experiment" or run.state != "succeeded" or not is_quantized:
        return hide_widths()
    offer = describe_offer(load_spec(run.spec))
    return [
        gr.Column(visible=True),
        offer.reason,
        gr.Column(visible=not offer.reason),
        gr.CheckboxGroup(value=list(offer.widths)),
        gr.Checkbox(value=False, visible=offer.can_be_attacked),
        gr.Column(visible=False),
        "" if offer.reason else _describe_first_cost(services, run, offer),
    ]


def describe_cost(
    services: Services, run: RunRecord, fields: Sequence[FormField], values: Sequence[Any]
) -> str:
    """Say how long what is asked takes and how much memory, or why that cannot be told.

    Args:
        services: Where past runs are known.
        run: The training run.
        fields: As `list_asked_fields` returns them.
        values: As `launch_widths` takes them.
    """
    asked = _read_asked(fields, values)
    try:
        seen = submit.preview_map_evaluation(services.desk, run.id, asked)
    except SpecError as error:
        return text.NO_ESTIMATE.format(reason=error.problems[0].message)
    except BitdialError as error:
        return text.NO_ESTIMATE.format(reason=error)
    if seen.estimate is None:
        return ""
    count = len(seen.spec.maps)
    return text.ESTIMATE.format(
        maps=text.COUNT[count != 1].format(count=count),
        time=write_seconds(seen.estimate.seconds),
        low=write_seconds(seen.estimate.seconds_low),
        high=write_seconds(seen.estimate.seconds_high),
        memory=write_bytes(seen.estimate.peak_memory_bytes),
        basis=text.ESTIMATE_BASIS.format(basis=seen.estimate.basis) if seen.estimate.basis else "",
    ).rstrip()


def launch_widths(
    services: Services, run: RunRecord, fields: Sequence[FormField], values: Sequence[Any]
) -> tuple[dict[str, Any], str]:
    """Queue the measurement of a run at other widths; return what is wrong, or where it is.

    Args:
        services: Where it is queued.
        run: The training run.
        fields: As `list_asked_fields` returns them.
        values: The widths of one for all layers each, whether a classifier is attacked, and what
            stands in the widgets of the fields.
    """
    problems: Sequence[Problem]
    asked = _read_asked(fields, values)
    try:
        sent = submit.submit_map_evaluation(services.desk, run.id, asked)
        return {"heading": "", "problems": []}, f"/run?id={sent.id}"
    except SpecError as error:
        problems = error.problems
    except BitdialError as error:
        problems = (Problem(error.field, str(error)),)
    return {"heading": text.PROBLEM, "problems": place_map_problems(problems, fields, asked)}, ""


def wire_widths(services: Services, panels: WidthPanels) -> None:
    """Let choices say what they cost, and the button queue a run and leave for it."""
    target = gr.Textbox(visible=False)

    def launch(request: gr.Request, *values: Any) -> tuple[Any, str]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return {}, ""
        return launch_widths(services, run, panels.form.fields, values)

    def review(request: gr.Request, *values: Any) -> tuple[Any, str]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return gr.skip(), ""
        is_attacked = bool(values[1])
        cost = describe_cost(services, run, panels.form.fields, values)
        return gr.Column(visible=is_attacked), cost

    shown = [panels.attack, panels.estimate]
    for chosen in panels.list_inputs():
        chosen.change(review, panels.list_inputs(), shown, trigger_mode="always_last", **FAST)
    panels.launch.click(launch, panels.list_inputs(), [panels.problems, target], **FAST).then(
        None, [target], None, js=TO_PAGE
    )


def _read_asked(fields: Sequence[FormField], values: Sequence[Any]) -> dict[str, Any]:
    widths, attacked, *typed = values
    return read_maps(fields, typed, widths=widths or (), attacked=attacked)


def _describe_first_cost(services: Services, run: RunRecord, offer: WidthOffer) -> str:
    """Return what the form costs as it is suggested."""
    fields = list_asked_fields()
    typed = [write_widget(field, field.default) for field in fields]
    return describe_cost(services, run, fields, [offer.widths, False, *typed])
