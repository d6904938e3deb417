"""The page for a new sensitivity run, `/sensitivity?run=|model=|draft=`: layout and wiring.

What the events answer stands in `new_sensitivity_events.py`; the fields come from `app.forms`.
Start with `build`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.draft_keeper import DraftKeeper
from app.components.estimate_panel import EstimatePanel
from app.components.page_load import FAST
from app.components.problem_list import ProblemList
from app.components.spec_panel import SpecPanel
from app.forms.sensitivity_form import SensitivityForm, build_sensitivity_form
from app.pages import new_sensitivity_events as events
from app.services import Services
from app.text import new_experiment as shared_text
from app.text import sensitivity as text


@dataclass(frozen=True)
class _Panels:
    """What stands beside the form, in the order in which handlers answer."""

    draft: DraftKeeper
    problems: ProblemList
    estimate: EstimatePanel
    spec: SpecPanel
    launch: gr.Button
    subject: gr.Markdown

    def list_outputs(self, form: SensitivityForm) -> list[Any]:
        own = [self.draft, self.problems, self.estimate, self.spec, self.launch, self.subject]
        return [*own, form.subject, *(item.block for item in form.switched)]


def build(services: Services) -> None:
    """Build the page inside its route."""
    gr.Markdown(f"# {text.NEW_TITLE}\n\n{text.NEW_LEAD}", elem_classes="bd-page-title")
    with gr.Row(elem_classes="bd-columns"):
        with gr.Column(elem_classes="bd-main", scale=7):
            problems = ProblemList(elem_id="problems")
            subject = gr.Markdown("", elem_id="measured-run", elem_classes="bd-group-lead")
            form = build_sensitivity_form()
        with gr.Column(elem_classes="bd-side", scale=5):
            panels = _build_side(problems, subject)
    _wire(events.Editor(services, form), panels)


def _build_side(problems: ProblemList, subject: gr.Markdown) -> _Panels:
    with gr.Column(elem_classes="bd-card", elem_id="panel-estimate"):
        gr.Markdown(f"## {shared_text.ESTIMATE}", elem_classes="bd-section-title")
        estimate = EstimatePanel(elem_id="estimate")
        launch = gr.Button(
            shared_text.LAUNCH, variant="primary", elem_id="launch", interactive=False
        )
        draft = DraftKeeper(elem_id="draft", launch="launch")
    with gr.Column(elem_classes="bd-card", elem_id="panel-spec"):
        gr.Markdown(f"## {shared_text.SPEC}", elem_classes="bd-section-title")
        spec = SpecPanel(elem_id="spec")
    return _Panels(draft, problems, estimate, spec, launch, subject)


def _wire(editor: events.Editor, panels: _Panels) -> None:
    form = editor.form
    shown = panels.list_outputs(form)
    asked = [panels.draft, *form.widgets]

    def open_page(request: gr.Request) -> list[Any]:
        return events.handle_open(editor, dict(request.query_params))

    gr.context.Context.root_block.load(open_page, None, [*shown, *form.widgets], **FAST)
    panels.draft.edited(
        _bind(events.handle_edit, editor), asked, shown, trigger_mode="always_last", **FAST
    )
    panels.launch.click(_bind(events.handle_launch, editor), asked, shown, **FAST)


def _bind(handler: Callable[..., list[Any]], editor: events.Editor) -> Callable[..., list[Any]]:
    def handle(*values: Any) -> list[Any]:
        return handler(editor, *values)

    return handle
