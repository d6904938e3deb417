"""The start on the Run page: what the initialization left of each layer, and the layers' widths.

Shown for runs that write such reports, from the files they recorded. Start with `show_start`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import reports
from app.components.chart import PlotlyChart
from app.components.page_load import FAST
from app.components.table_twin import TableTwin
from app.pages.run_finding import Missing, find_asked_run
from app.plots import initialization_error, layer_widths
from app.quantities import write_number
from app.reports import Lacking
from app.services import Services
from app.text import starts as text
from engine.initialize.error_report import Measure
from engine.specs import DataAware, FloatQuantizer, LoftQ, NoAdapter, Subject, load_spec
from tasks.store.records import TERMINAL_STATES, RunRecord

MAP_PIXELS, MEAN_PIXELS = 280, 190


@dataclass(frozen=True)
class StartPanels:
    """The components, in the order in which `show_start` answers."""

    error_card: gr.Column
    error_title: gr.Markdown
    error_note: gr.Markdown
    iteration: gr.Slider
    error_map: PlotlyChart
    error_mean: PlotlyChart
    error_table: TableTwin
    widths_card: gr.Column
    widths_note: gr.Markdown
    widths_map: PlotlyChart
    widths_table: TableTwin

    def list_outputs(self) -> list[Any]:
        """Return them all."""
        return [
            self.error_card,
            self.error_title,
            self.error_note,
            self.iteration,
            self.error_map,
            self.error_mean,
            self.error_table,
            self.widths_card,
            self.widths_note,
            self.widths_map,
            self.widths_table,
        ]


def build_start_panels() -> StartPanels:
    """Build the cards inside the open column, hidden."""
    with gr.Column(visible=False, elem_id="initialization", elem_classes="bd-card") as error_card:
        error_title = gr.Markdown("")
        error_note = gr.Markdown("", elem_classes="bd-group-lead")
        iteration = gr.Slider(
            1, 2, value=1, step=1, label=text.ITERATION, elem_id="iteration", visible=False
        )
        error_map = PlotlyChart(label=text.ERROR, height=MAP_PIXELS, elem_id="error-map")
        error_mean = PlotlyChart(label=text.ERROR_MEAN, height=MEAN_PIXELS, elem_id="error-mean")
        error_table = TableTwin(label=text.ERROR, elem_id="error-table")
    with gr.Column(visible=False, elem_id="layer-widths", elem_classes="bd-card") as widths_card:
        gr.Markdown(f"## {text.WIDTHS}")
        note = gr.Markdown("", elem_classes="bd-group-lead")
        widths_map = PlotlyChart(label=text.WIDTHS, height=MAP_PIXELS, elem_id="widths-map")
        widths_table = TableTwin(label=text.WIDTHS, elem_id="widths-table")
    return StartPanels(
        error_card, error_title, error_note, iteration, error_map, error_mean, error_table,
        widths_card, note, widths_map, widths_table,
    )  # fmt: skip


def hide_start() -> list[Any]:
    """Answer for a page without a start to show."""
    return [*_hide_error(), *_hide_widths()]


def show_start(services: Services, run: RunRecord) -> list[Any]:
    """Return the error after the last iteration and the widths; hidden where there are none."""
    if run.kind != "experiment":
        return hide_start()
    spec = load_spec(run.spec)
    return [
        *(_show_error(services, run, _measured_by(spec)) if _leaves_error(spec) else _hide_error()),
        *(_show_widths(services, run) if _mixes_widths(spec) else _hide_widths()),
    ]


def sign_start(services: Services, run: RunRecord) -> str:
    """Return a text that changes whenever what `show_start` answers may have changed."""
    if run.kind != "experiment":
        return ""
    return " ".join(str(record.id) for record in reports.list_reports(services, run.id))


def choose_iteration(services: Services, run: RunRecord, iteration: float | None) -> list[Any]:
    """Return map and mean after another iteration."""
    found = reports.read_errors(services, run.id)
    if isinstance(found, Lacking):
        sentence = _excuse(run, found, text.ERROR_WAITING, text.ERROR_MISSING)
        return [initialization_error.draw_nothing(sentence), None]
    shown = initialization_error.read_errors(
        found.layers, found.mean, iteration=None if iteration is None else int(iteration)
    )
    return [initialization_error.draw_map(shown), initialization_error.draw_mean(shown)]


def wire_start(services: Services, panels: StartPanels) -> None:
    """Make the slider redraw map and mean."""

    def choose(iteration: float | None, request: gr.Request) -> list[Any]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return [gr.skip(), gr.skip()]
        return choose_iteration(services, run, iteration)

    drawn = [panels.error_map, panels.error_mean]
    panels.iteration.input(choose, [panels.iteration], drawn, trigger_mode="always_last", **FAST)


def _show_error(services: Services, run: RunRecord, measure: Measure) -> list[Any]:
    """Show the errors; before there are any, `measure` says of what they will be."""
    found = reports.read_errors(services, run.id)
    visible, hidden = gr.Column(visible=True), gr.Slider(visible=False)
    if isinstance(found, Lacking):
        sentence = _excuse(run, found, text.ERROR_WAITING, text.ERROR_MISSING)
        nothing = initialization_error.draw_nothing(sentence)
        return [visible, *_head_error(measure), hidden, nothing, None, None]
    shown = initialization_error.read_errors(found.layers, found.mean)
    count = len(found.mean)
    slider = gr.Slider(1, max(count, 2), value=count, step=1, visible=count > 1)
    mean = initialization_error.draw_mean(shown) if count > 1 else None
    table = initialization_error.list_table(shown)
    figure = initialization_error.draw_map(shown)
    return [visible, *_head_error(found.measure), slider, figure, mean, table]


def _head_error(measure: Measure) -> list[str]:
    return [f"## {text.ERRORS[measure]}", text.ERROR_NOTES[measure]]


def _show_widths(services: Services, run: RunRecord) -> list[Any]:
    found = reports.read_widths(services, run.id)
    visible = gr.Column(visible=True)
    if isinstance(found, Lacking):
        sentence = _excuse(run, found, text.WIDTHS_WAITING, text.WIDTHS_MISSING)
        return [visible, "", initialization_error.draw_nothing(sentence), None]
    shown = layer_widths.read_widths(found.layers, found.scores)
    note = text.WIDTHS_NOTE[found.rule].format(average=write_number(found.average, 3))
    return [visible, note, layer_widths.draw(shown), layer_widths.list_table(shown)]


def _hide_error() -> list[Any]:
    return [gr.Column(visible=False), "", "", gr.Slider(visible=False), None, None, None]


def _hide_widths() -> list[Any]:
    return [gr.Column(visible=False), "", None, None]


def _excuse(run: RunRecord, found: Lacking, waiting: str, missing: str) -> str:
    """Say that a report is to come, or never was; what is damaged is said as it is."""
    if found.is_recorded:
        return found.sentence[:1].upper() + found.sentence[1:] + "."
    return missing if run.state in TERMINAL_STATES else waiting


def _measured_by(spec: Subject) -> Measure:
    """Return what the initialization measures the error of."""
    return "outputs" if isinstance(spec.initialization, DataAware) else "weights"


def _leaves_error(spec: Subject) -> bool:
    """Whether the initialization measures what it leaves of the weights or outputs."""
    start, adapter = spec.initialization, spec.adapter
    if isinstance(start, DataAware) and not isinstance(adapter, NoAdapter):
        return adapter.placement == "parallel"
    return isinstance(start, LoftQ)


def _mixes_widths(spec: Subject) -> bool:
    return not isinstance(spec.quantizer, FloatQuantizer) and spec.quantizer.is_mixed
