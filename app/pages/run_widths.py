"""Asking on a trained run's page for its scores at other widths. Start with `WidthPanels`.

What to suggest stands in `app.tables.width_offer`; `launch_widths` queues the run and answers with
its address, or with what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from app.components.field_note import FieldNote
from app.components.page_load import FAST, TO_PAGE
from app.components.problem_list import ProblemList
from app.forms.experiment_form import SpecForm
from app.forms.fields import FormField, list_random_fields
from app.forms.problems import place_problems
from app.forms.values import read_widget
from app.forms.widgets import build_widget
from app.pages.run_finding import Missing, find_asked_run
from app.services import Services
from app.tables.width_offer import describe_offer
from app.text import maps as text
from engine.errors import BitdialError, Problem, SpecError
from engine.specs import load_spec
from engine.specs.layer_bits import WIDTHS
from tasks import submit
from tasks.store.records import RunRecord

DRAWN_WIDTHS = "maps.widths"


@dataclass(frozen=True)
class WidthPanels:
    """The card with its form.

    Attributes:
        card: Shown for finished runs with a quantized model.
        problems: What is wrong with what was asked.
        reason: Why nothing can be measured.
        asking: The form, shown where something can.
        widths: One width for all layers, as many as wanted.
        drawn: Fields of a map that draws widths.
        attacked: Whether a classifier is attacked as well.
        launch: Queues the run.
    """

    card: gr.Column
    problems: ProblemList
    reason: FieldNote
    asking: gr.Column
    widths: gr.CheckboxGroup
    drawn: SpecForm
    attacked: gr.Checkbox
    launch: gr.Button

    def list_outputs(self) -> list[Any]:
        """Return what `show_widths` answers for."""
        return [self.card, self.reason, self.asking, self.widths, self.attacked]

    def list_inputs(self) -> list[Any]:
        """Return what `launch_widths` takes, in its order."""
        return [self.widths, self.attacked, *self.drawn.widgets]


def list_drawn_fields() -> tuple[FormField, ...]:
    """Return what is asked of a map that draws widths; without widths there is none."""
    return tuple(
        replace(field, title=text.RANDOM_WIDTHS, help=text.RANDOM_HELP, default=())
        if field.path == DRAWN_WIDTHS
        else field
        for field in list_random_fields()
    )


def build_width_panels() -> WidthPanels:
    """Build the card inside the open column, hidden."""
    fields = list_drawn_fields()
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
                    elem_id="measured-widths",
                    elem_classes=["bd-field", "bd-field-wide"],
                )
                drawn = SpecForm(fields, tuple(build_widget(field) for field in fields), ())
                attacked = gr.Checkbox(
                    label=text.ATTACKED,
                    info=text.ATTACKED_HELP,
                    visible=False,
                    elem_id="attacked",
                    elem_classes="bd-field",
                )
            launch = gr.Button(text.LAUNCH, variant="primary", elem_id="launch-widths")
    return WidthPanels(card, problems, reason, asking, widths, drawn, attacked, launch)


def hide_widths() -> list[Any]:
    """Answer for a page on which nothing can be measured."""
    hidden = gr.Column(visible=False)
    return [hidden, "", hidden, gr.skip(), gr.skip()]


def show_widths(run: RunRecord) -> list[Any]:
    """Return the card with what to suggest, or why there is nothing."""
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
    ]


def launch_widths(
    services: Services, run: RunRecord, fields: Sequence[FormField], values: Sequence[Any]
) -> tuple[dict[str, Any], str]:
    """Queue the measurement of a run at other widths; return what is wrong, or where it is.

    Args:
        services: Where it is queued.
        run: The training run.
        fields: As `list_drawn_fields` returns them.
        values: The widths of one for all layers each, whether a classifier is attacked, and what
            stands in the widgets of the fields.
    """
    widths, attacked, *typed = values
    drawn = {
        field.path.rpartition(".")[2]: read_widget(field, value)
        for field, value in zip(fields, typed, strict=True)
    }
    maps: list[dict[str, Any]] = [{"map": "uniform", "bits": b} for b in sorted(widths or ())]
    num_uniform = len(maps)
    if drawn["widths"]:
        maps.append({"map": "random", **drawn})
    asked: dict[str, Any] = {"maps": maps}
    if attacked:
        asked["attack"] = {"attack": "gbda"}
    try:
        sent = submit.submit_map_evaluation(services.desk, run.id, asked)
        return {"heading": "", "problems": []}, f"/run?id={sent.id}"
    except SpecError as error:
        problems = error.problems
    except BitdialError as error:
        problems = (Problem(error.field, str(error)),)
    return {"heading": text.PROBLEM, "problems": _place(problems, fields, num_uniform)}, ""


def wire_widths(services: Services, panels: WidthPanels) -> None:
    """Let the button queue a run and leave for it."""
    target = gr.Textbox(visible=False)

    def launch(request: gr.Request, *values: Any) -> tuple[Any, str]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return {}, ""
        return launch_widths(services, run, panels.drawn.fields, values)

    panels.launch.click(launch, panels.list_inputs(), [panels.problems, target], **FAST).then(
        None, [target], None, js=TO_PAGE
    )


def _place(
    problems: Sequence[Problem], fields: Sequence[FormField], num_uniform: int
) -> list[dict[str, str]]:
    """Put problems of the drawn map, which stands after those of one width, at its fields."""
    drawn = f"maps.{num_uniform}."
    own = [
        Problem(f"maps.{problem.field.removeprefix(drawn)}", problem.message)
        if problem.field.startswith(drawn)
        else problem
        for problem in problems
    ]
    return place_problems(own, fields, {})
