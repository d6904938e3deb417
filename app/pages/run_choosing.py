"""Choosing the ranks of a trained run on its page: a search, or the evaluation of given ranks.

The fields come from the specs of these runs. Start with `ChoicePanels`; `launch_search` and
`launch_evaluation` queue a run and answer with its address, or with what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from app.components.field_note import FieldNote
from app.components.page_load import FAST, TO_PAGE
from app.components.problem_list import ProblemList
from app.forms.experiment_form import SpecForm, build_sections, show_switched
from app.forms.fields import FormField, build_ranks_field, list_search_sections
from app.forms.problems import place_problems
from app.forms.values import find_current, read_asked, read_widget
from app.forms.widgets import build_widget
from app.pages.run_finding import Missing, find_asked_run
from app.pages.run_ranks import find_groups, find_rank_space
from app.services import Services
from app.tables.rank_space import write_span
from app.text import ranks as text
from engine.errors import BitdialError, Problem, SpecError
from engine.search.heuristics import find_named
from tasks import submit
from tasks.store.records import RunRecord

SPLIT = "objective.split"


@dataclass(frozen=True)
class ChoicePanels:
    """The card with both forms.

    Attributes:
        card: Shown for finished runs with elastic adapters.
        span: How many configurations there are.
        problems: What is wrong with either form.
        form: The search's fields.
        ranks_field: The evaluation's field, and its widget.
    """

    card: gr.Column
    span: FieldNote
    problems: ProblemList
    form: SpecForm
    search: gr.Button
    ranks_field: FormField
    ranks: Component
    evaluate: gr.Button

    @property
    def split(self) -> Component:
        """The widget that chooses the examples."""
        return next(
            widget
            for field, widget in zip(self.form.fields, self.form.widgets, strict=True)
            if field.path == SPLIT
        )

    def list_outputs(self) -> list[Any]:
        """Return what `show_choice` answers for."""
        return [self.card, self.span, self.split, self.ranks]


def build_choice_panels() -> ChoicePanels:
    """Build the card inside the open column, hidden."""
    field = build_ranks_field()
    with gr.Column(visible=False, elem_id="choose-ranks", elem_classes="bd-card") as card:
        gr.Markdown(f"## {text.CHOOSE}\n\n{text.CHOOSE_NOTE}", elem_classes="bd-section-title")
        span = FieldNote(elem_id="note-configurations")
        problems = ProblemList(elem_id="choice-problems")
        gr.Markdown(f"### {text.SEARCH_TITLE}")
        form = build_sections(list_search_sections())
        search = gr.Button(text.SEARCH, variant="primary", elem_id="launch-search")
        gr.Markdown(f"### {text.EVALUATE_TITLE}")
        with gr.Column(elem_classes="bd-fields"):
            ranks = build_widget(field)
        evaluate = gr.Button(text.EVALUATE, elem_id="launch-evaluation")
    return ChoicePanels(card, span, problems, form, search, field, ranks, evaluate)


def hide_choice() -> list[Any]:
    """Answer for a page on which nothing can be chosen."""
    return [gr.Column(visible=False), "", gr.skip(), gr.skip()]


def show_choice(run: RunRecord) -> list[Any]:
    """Return the card with what it spans, the usable split, and the median ranks to start from."""
    groups, space = find_groups(run), find_rank_space(run)
    is_elastic = run.kind == "experiment" and bool(space)
    if not is_elastic or run.state != "succeeded" or not groups:
        return hide_choice()
    grouping = run.spec["adapter"]["grouping"]
    data = run.spec.get("training", {}).get("data", {})
    median = find_named("median", num_groups=len(groups), rank_space=space)
    help_text = text.RANKS_HELP.format(
        ranks=", ".join(map(str, space)), count=len(groups), first=groups[0]
    )
    return [
        gr.Column(visible=True),
        write_span(len(space), len(groups), grouping),
        "held-out" if data.get("held_out") else "validation",
        gr.Textbox(value=", ".join(map(str, median)), info=help_text),
    ]


def switch_search(form: SpecForm, widgets: Sequence[Any]) -> list[Any]:
    """Show the fields of the chosen strategy."""
    return list(show_switched(form, find_current(form.fields, widgets)))


def launch_search(
    services: Services, run: RunRecord, form: SpecForm, widgets: Sequence[Any]
) -> tuple[dict[str, Any], str]:
    """Queue a search on a run; return what is wrong, or where the new run is."""
    asked = read_asked(form.fields, widgets, {})
    current = find_current(form.fields, widgets)

    def send() -> RunRecord:
        return submit.submit_search(services.desk, run.id, asked)

    return _launch(send, form.fields, current)


def launch_evaluation(
    services: Services, run: RunRecord, field: FormField, typed: object
) -> tuple[dict[str, Any], str]:
    """Queue the evaluation of the typed ranks; answers like `launch_search`."""

    def send() -> RunRecord:
        ranks = read_widget(field, typed)
        return submit.submit_evaluation(services.desk, run.id, {"ranks": ranks})

    return _launch(send, (field,), {})


def _launch(
    send: Callable[[], RunRecord], fields: Sequence[FormField], current: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    try:
        return {"heading": "", "problems": []}, f"/run?id={send().id}"
    except SpecError as error:
        problems = error.problems
    except BitdialError as error:
        problems = (Problem(error.field, str(error)),)
    return {"heading": text.PROBLEM, "problems": place_problems(problems, fields, current)}, ""


def wire_choice(services: Services, panels: ChoicePanels) -> None:
    """Let the strategy switch its fields, and both buttons queue a run and leave for it."""
    form, target = panels.form, gr.Textbox(visible=False)

    def switch(*values: Any) -> list[Any]:
        return switch_search(form, values)

    def search(request: gr.Request, *values: Any) -> tuple[Any, str]:
        run = find_asked_run(services, request.query_params)
        return ({}, "") if isinstance(run, Missing) else launch_search(services, run, form, values)

    def evaluate(request: gr.Request, typed: str) -> tuple[Any, str]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return {}, ""
        return launch_evaluation(services, run, panels.ranks_field, typed)

    inputs, blocks = list(form.widgets), [item.block for item in form.switched]
    for field, widget in zip(form.fields, form.widgets, strict=True):
        if field.kind == "choice":
            widget.input(switch, inputs, blocks, trigger_mode="always_last", **FAST)
    for button, handler, taken in (
        (panels.search, search, inputs),
        (panels.evaluate, evaluate, [panels.ranks]),
    ):
        button.click(handler, taken, [panels.problems, target], **FAST).then(
            None, [target], None, js=TO_PAGE
        )
