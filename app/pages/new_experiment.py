"""The page New experiment, `/new?draft=|clone=|preset=`: layout and wiring.

What the events answer stands in `new_experiment_events.py`; the fields come from `app.forms`. Start
with `build`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.draft_keeper import DraftKeeper
from app.components.estimate_panel import EstimatePanel
from app.components.problem_list import ProblemList
from app.components.spec_panel import SpecPanel
from app.forms.experiment_form import ExperimentForm, build_form
from app.pages import new_experiment_events as events
from app.services import Services
from app.text import new_experiment as text
from engine.specs import PRESETS

_QUICK: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}


@dataclass(frozen=True)
class _Panels:
    """What stands beside the form, in the order in which handlers answer."""

    draft: DraftKeeper
    problems: ProblemList
    estimate: EstimatePanel
    spec: SpecPanel
    launch: gr.Button

    def list_outputs(self, form: ExperimentForm) -> list[Any]:
        return [
            self.draft,
            self.problems,
            self.estimate,
            self.spec,
            self.launch,
            form.note,
            *(item.block for item in form.switched),
        ]


def build(services: Services) -> None:
    """Build the page inside its route."""
    gr.Markdown(f"# {text.TITLE}\n\n{text.LEAD}", elem_classes="bd-page-title")
    with gr.Row(elem_classes="bd-columns"):
        with gr.Column(elem_classes="bd-main", scale=7):
            preset, upload = _build_start()
            problems = ProblemList(elem_id="problems")
            form = build_form()
        with gr.Column(elem_classes="bd-side", scale=5):
            panels = _build_side(problems)
    _wire(events.Editor(services, form), panels, preset=preset, upload=upload)


def _build_start() -> tuple[gr.Radio, gr.UploadButton]:
    with gr.Column(elem_classes="bd-card bd-section", elem_id="section-start"):
        with gr.Row(elem_classes="bd-start-title"):
            gr.Markdown(f"## {text.PRESET}", elem_classes="bd-section-title")
            upload = gr.UploadButton(
                text.UPLOAD,
                file_types=[".yaml", ".yml"],
                size="sm",
                scale=0,
                elem_id="upload",
            )
        preset = gr.Radio(
            choices=[(f"{item.title}\n{item.description}", item.name) for item in PRESETS],
            value=events.DEFAULT_PRESET,
            label=text.PRESET,
            show_label=False,
            elem_id="preset",
            elem_classes=["bd-presets"],
        )
    return preset, upload


def _build_side(problems: ProblemList) -> _Panels:
    with gr.Column(elem_classes="bd-card", elem_id="panel-estimate"):
        gr.Markdown(f"## {text.ESTIMATE}", elem_classes="bd-section-title")
        estimate = EstimatePanel(elem_id="estimate")
        launch = gr.Button(text.LAUNCH, variant="primary", elem_id="launch", interactive=False)
        draft = DraftKeeper(elem_id="draft", launch="launch")
    with gr.Column(elem_classes="bd-card", elem_id="panel-spec"):
        gr.Markdown(f"## {text.SPEC}", elem_classes="bd-section-title")
        spec = SpecPanel(elem_id="spec")
    return _Panels(draft, problems, estimate, spec, launch)


def _wire(
    editor: events.Editor, panels: _Panels, *, preset: gr.Radio, upload: gr.UploadButton
) -> None:
    form = editor.form
    shown = panels.list_outputs(form)
    filled = [*shown, preset, *form.widgets]
    asked = [panels.draft, preset, *form.widgets]

    def open_page(request: gr.Request) -> list[Any]:
        return events.handle_open(editor, dict(request.query_params))

    gr.context.Context.root_block.load(open_page, None, filled, **_QUICK)
    panels.draft.edited(
        _bind(events.handle_edit, editor), asked, shown, trigger_mode="always_last", **_QUICK
    )
    preset.input(
        _bind(events.handle_preset, editor), asked, filled, trigger_mode="always_last", **_QUICK
    )
    upload.upload(_bind(events.handle_upload, editor), [panels.draft, upload], filled, **_QUICK)
    panels.launch.click(_bind(events.handle_launch, editor), asked, shown, **_QUICK)


def _bind(handler: Callable[..., list[Any]], editor: events.Editor) -> Callable[..., list[Any]]:
    def handle(*values: Any) -> list[Any]:
        return handler(editor, *values)

    return handle
