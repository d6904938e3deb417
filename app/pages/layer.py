"""The page of one layer, `/layer?run=12&name=model.layers.3.mlp.up_proj`.

Its weights, its rounding error, what it loses at each width by every method, the width it had in
every run and has in every bit map. What is read stands in `layer_reading`, what is said in
`app.tables.layer_facts`. Start with `show_layer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.facts import Facts
from app.components.layer_header import LayerHeader
from app.components.page_load import FAST, TO_PAGE, listen_to_load
from app.components.table_twin import TableTwin
from app.pages.layer_reading import (
    MOST_RUNS,
    Lost,
    find_layer,
    list_history,
    list_lines,
    list_places,
)
from app.pages.run_maps import open_marked
from app.plots import layer_figures
from app.plots.sensitivity_scores import name_score
from app.services import Services
from app.tables.layer_facts import (
    describe_head,
    describe_history,
    describe_maps,
    describe_missing,
    describe_weights,
)
from app.tables.sections import show_sections
from app.text import sensitivity as text

_TO_ADDRESS = """(score) => {
  if (!score) return;
  const query = new URLSearchParams(location.search);
  query.set('score', score);
  history.replaceState(history.state, '', location.pathname + '?' + query);
}"""


@dataclass(frozen=True)
class LayerPanels:
    """The components, in the order in which `show_layer` answers."""

    head: LayerHeader
    body: gr.Column
    metric: gr.Radio
    scores: PlotlyChart
    scores_table: TableTwin
    weights: gr.Column
    histogram: PlotlyChart
    histogram_table: TableTwin
    errors: PlotlyChart
    errors_table: TableTwin
    facts: Facts

    def list_outputs(self) -> list[Any]:
        """Return them all."""
        return [
            self.head, self.body, self.metric, self.scores, self.scores_table, self.weights,
            self.histogram, self.histogram_table, self.errors, self.errors_table, self.facts,
        ]  # fmt: skip


def build(services: Services) -> None:
    """Build the page inside its route."""
    panels = _build_panels()

    def load(request: gr.Request) -> list[Any]:
        return show_layer(services, request.query_params)

    def choose(metric: str | None, request: gr.Request) -> list[Any]:
        shown = show_layer(services, {**request.query_params, "score": metric or ""})
        return shown[3:5]

    listen_to_load(load, [], panels.list_outputs())
    drawn = [panels.scores, panels.scores_table]
    panels.metric.input(choose, [panels.metric], drawn, trigger_mode="always_last", **FAST).then(
        None, [panels.metric], None, js=_TO_ADDRESS
    )
    target = gr.Textbox(visible=False)
    panels.scores.point_click(open_marked, None, [target], trigger_mode="multiple", **FAST).then(
        None, [target], None, js=TO_PAGE
    )


def show_layer(services: Services, query: Mapping[str, str]) -> list[Any]:
    """Return everything on the page, or why there is no such layer."""
    found = find_layer(services, query)
    hidden = gr.Column(visible=False)
    if isinstance(found, Lost):
        head = describe_missing(found.run, found.missing.title, found.missing.hint)
        nothing = [gr.Radio(visible=False), None, None, hidden, *[None] * 4]
        return [head, hidden, *nothing, show_sections(())]
    maps = list_places(services, found)
    fact = found.facts.layers.get(found.name) if found.facts else None
    sections = (
        describe_weights(fact, found.facts_run),
        describe_history(list_history(services, found), MOST_RUNS),
        describe_maps(maps),
    )
    weights: list[Any] = [hidden, *[None] * 4]
    if fact is not None:
        weights = [
            gr.Column(visible=True),
            layer_figures.draw_histogram(fact),
            layer_figures.list_histogram(fact),
            layer_figures.draw_errors(fact),
            layer_figures.list_errors(fact),
        ]
    return [
        describe_head(found.run, found.name, found.names, maps),
        gr.Column(visible=True),
        *_show_scores(list_lines(services, found), query.get("score", "")),
        *weights,
        show_sections(sections),
    ]


def _show_scores(lines: Mapping[str, tuple[layer_figures.ScoreLine, ...]], asked: str) -> list[Any]:
    """Return the choice of a metric, its figure and its table."""
    metric = asked if asked in lines else next(iter(lines), "")
    shown = lines.get(metric, ())
    choices = [(name_score(each), each) for each in lines]
    return [
        gr.Radio(choices=choices, value=metric or None, visible=len(lines) > 1),
        layer_figures.draw_scores(shown, metric, name_score(metric)),
        layer_figures.list_scores(shown),
    ]


def _build_panels() -> LayerPanels:
    head = LayerHeader(elem_id="layer-header")
    with gr.Column(visible=False, elem_id="layer-body") as body, gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=420):
            with gr.Column(elem_classes="bd-card", elem_id="layer-scores"):
                gr.Markdown(
                    f"## {text.SCORES}\n\n{text.SCORES_NOTE}", elem_classes="bd-section-title"
                )
                metric = gr.Radio(
                    choices=[],
                    label=text.SCORE,
                    show_label=False,
                    visible=False,
                    elem_id="layer-score",
                    elem_classes=["bd-field", "bd-switch"],
                )
                scores = PlotlyChart(
                    label=text.SCORES, height=layer_figures.WIDTHS_PIXELS, elem_id="score-widths"
                )
                scores_table = TableTwin(label=text.SCORES, elem_id="score-table")
            with gr.Column(visible=False) as weights:
                histogram, histogram_table = _build_card(text.HISTOGRAM, "", "histogram")
                errors, errors_table = _build_card(text.RELATIVE, text.RELATIVE_NOTE, "errors")
        with gr.Column(scale=2, min_width=360):
            facts = Facts(elem_id="layer-facts")
    return LayerPanels(
        head, body, metric, scores, scores_table, weights, histogram, histogram_table, errors,
        errors_table, facts,
    )  # fmt: skip


def _build_card(title: str, note: str, name: str) -> tuple[PlotlyChart, TableTwin]:
    with gr.Column(elem_classes="bd-card", elem_id=f"layer-{name}"):
        gr.Markdown(f"## {title}\n\n{note}".strip(), elem_classes="bd-section-title")
        figure = PlotlyChart(
            label=title, height=layer_figures.FIGURE_PIXELS, elem_id=f"figure-{name}"
        )
        table = TableTwin(label=title, elem_id=f"table-{name}")
    return figure, table
