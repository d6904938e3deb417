"""Choosing the ranks of a trained run on its page: a search, or the evaluation of given ranks.

The fields come from the specs of these runs; a search is offered only where one can be carried out.
Start with `ChoicePanels`; `launch_search` and `launch_evaluation` queue a run and answer with its
address, or with what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.field_note import FieldNote
from app.components.page_load import FAST, TO_PAGE
from app.components.problem_list import ProblemList
from app.forms.experiment_form import SpecForm, build_sections, show_switched
from app.forms.fields import FormField, build_ranks_field, list_fields, list_search_sections
from app.forms.problems import place_problems
from app.forms.values import find_current, find_value, read_asked, read_widget, set_value
from app.forms.widgets import build_widget
from app.pages.run_finding import Missing, find_asked_run
from app.pages.run_ranks import find_groups, find_rank_space
from app.services import Services
from app.tables.rank_space import write_span
from app.tables.search_offer import SearchOffer, describe_offer
from app.text import ranks as text
from engine.errors import BitdialError, Problem, SpecError
from engine.search.heuristics import find_named
from engine.specs import load_spec
from tasks import submit
from tasks.store.records import RunRecord

SPLIT = "objective.split"
METRIC = "objective.metric"
BENCHMARKS = "evaluation.benchmarks"


@dataclass(frozen=True)
class ChoicePanels:
    """The card with both forms.

    Attributes:
        card: Shown for finished runs with elastic adapters.
        problems: What is wrong with either form.
        reason: Why there is no search.
        searching: The search's half, shown where there is one.
        span: How many configurations there are.
        form: The search's fields.
        asking: The evaluation's fields and widgets: ranks, benchmarks.
    """

    card: gr.Column
    problems: ProblemList
    reason: FieldNote
    searching: gr.Column
    span: FieldNote
    form: SpecForm
    search: gr.Button
    asking: SpecForm
    evaluate: gr.Button

    def list_outputs(self) -> list[Any]:
        """Return what `show_choice` answers for."""
        form = self.form
        widgets = {field.path: each for field, each in zip(form.fields, form.widgets, strict=True)}
        own = [widgets[SPLIT], widgets[METRIC]]
        return [self.card, self.reason, self.searching, self.span, *own, *self.asking.widgets]


def list_asked_fields() -> tuple[FormField, ...]:
    """Return what an evaluation asks for: the ranks, and what to measure at them."""
    benchmarks = next(field for field in list_fields() if field.path == BENCHMARKS)
    return build_ranks_field(), benchmarks


def build_choice_panels() -> ChoicePanels:
    """Build the card inside the open column, hidden."""
    fields = list_asked_fields()
    with gr.Column(visible=False, elem_id="choose-ranks", elem_classes="bd-card") as card:
        gr.Markdown(f"## {text.CHOOSE}\n\n{text.CHOOSE_NOTE}", elem_classes="bd-section-title")
        problems = ProblemList(elem_id="choice-problems")
        reason = FieldNote(elem_id="no-search")
        with gr.Column(visible=False, elem_id="choose-by-search", elem_classes="bd-group") as half:
            lead = f"### {text.SEARCH_TITLE}\n\n{text.SEARCH_NOTE}"
            gr.Markdown(lead, elem_classes="bd-section-title")
            span = FieldNote(elem_id="note-configurations")
            form = build_sections(list_search_sections())
            search = gr.Button(text.SEARCH, variant="primary", elem_id="launch-search")
        gr.Markdown(f"### {text.EVALUATE_TITLE}")
        with gr.Column(elem_classes="bd-fields"):
            asking = SpecForm(fields, tuple(build_widget(field) for field in fields), ())
        evaluate = gr.Button(text.EVALUATE, elem_id="launch-evaluation")
    return ChoicePanels(card, problems, reason, half, span, form, search, asking, evaluate)


def hide_choice() -> list[Any]:
    """Answer for a page on which nothing can be chosen."""
    hidden = gr.Column(visible=False)
    return [hidden, "", hidden, "", *[gr.skip()] * 4]


def show_choice(run: RunRecord) -> list[Any]:
    """Return the card with what a search may choose on, or why there is none, and what to ask.

    The ranks to start from are the median, the benchmarks the run's own.
    """
    groups, space = find_groups(run), find_rank_space(run)
    is_elastic = run.kind == "experiment" and bool(space)
    if not is_elastic or run.state != "succeeded" or not groups:
        return hide_choice()
    spec = load_spec(run.spec)
    offer = describe_offer(spec)
    median = find_named("median", num_groups=len(groups), rank_space=space)
    help_text = text.RANKS_HELP.format(
        ranks=", ".join(map(str, space)), count=len(groups), first=groups[0]
    )
    return [
        gr.Column(visible=True),
        offer.reason,
        gr.Column(visible=not offer.reason),
        write_span(len(space), len(groups), run.spec["adapter"]["grouping"]),
        *_show_offer(offer),
        gr.Textbox(value=", ".join(map(str, median)), info=help_text),
        "\n".join(spec.evaluation.benchmarks),
    ]


def _show_offer(offer: SearchOffer) -> list[Any]:
    """Return the choices of examples and metric; as they are where there is no search."""
    if offer.reason:
        return [gr.skip(), gr.skip()]
    return [
        gr.Radio(choices=[(each, each) for each in choices], value=choices[0])
        for choices in (offer.splits, offer.metrics)
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
    services: Services, run: RunRecord, fields: Sequence[FormField], typed: Sequence[Any]
) -> tuple[dict[str, Any], str]:
    """Queue the evaluation of the typed ranks; answers like `launch_search`.

    Args:
        services: Where it is queued.
        run: The training run; what it measures itself is measured where nothing else is typed.
        fields: As `list_asked_fields` returns them.
        typed: What stands in their widgets.
    """

    def send() -> RunRecord:
        asked: dict[str, Any] = {}
        for field, value in zip(fields, typed, strict=True):
            wanted = read_widget(field, value)
            if wanted != find_value(run.spec, field.path):
                set_value(asked, field.path, wanted)
        return submit.submit_evaluation(services.desk, run.id, asked)

    return _launch(send, fields, {})


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

    def evaluate(request: gr.Request, *typed: str) -> tuple[Any, str]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return {}, ""
        return launch_evaluation(services, run, panels.asking.fields, typed)

    inputs, blocks = list(form.widgets), [item.block for item in form.switched]
    for field, widget in zip(form.fields, form.widgets, strict=True):
        if field.kind == "choice":
            widget.input(switch, inputs, blocks, trigger_mode="always_last", **FAST)
    for button, handler, taken in (
        (panels.search, search, inputs),
        (panels.evaluate, evaluate, list(panels.asking.widgets)),
    ):
        button.click(handler, taken, [panels.problems, target], **FAST).then(
            None, [target], None, js=TO_PAGE
        )
