"""A trained model's scores at many layer maps on the Run page: curve, choice of score, table.

An evaluation of maps shows its own, also while it runs; a training run those of its newest finished
evaluation. Which score is drawn stands in the address (`&score=`). Start with `show_maps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.page_load import FAST
from app.components.table_twin import TableTwin
from app.pages.run_finding import Missing, find_asked_run
from app.plots import map_curve
from app.plots.map_points import list_metrics, read_points
from app.services import Services
from app.tables.describing import count_maps
from app.tables.map_table import list_table
from app.text import maps as text
from tasks.store import measurements, runs
from tasks.store.map_scores import find_map_evaluations, list_map_scores, list_trained_points
from tasks.store.records import TERMINAL_STATES, MapScoreRecord, RunRecord, ScoreRecord

CHART_PIXELS = 380
MAP_EVALUATION = "map-evaluation"
_TO_ADDRESS = """(score) => {
  if (!score) return;
  const query = new URLSearchParams(location.search);
  query.set('score', score);
  history.replaceState(history.state, '', location.pathname + '?' + query);
}"""


@dataclass(frozen=True)
class MapPanels:
    """The components, in the order in which `show_maps` answers."""

    card: gr.Column
    note: gr.Markdown
    metric: gr.Radio
    figure: PlotlyChart
    table: TableTwin

    def list_outputs(self) -> list[Any]:
        """Return them all."""
        return [self.card, self.note, self.metric, self.figure, self.table]


def build_map_panels() -> MapPanels:
    """Build the card inside the open column, hidden."""
    with gr.Column(visible=False, elem_id="maps", elem_classes="bd-card") as card:
        gr.Markdown(f"## {text.CURVE}")
        note = gr.Markdown("", elem_classes="bd-group-lead")
        metric = gr.Radio(
            choices=[],
            label=text.METRIC,
            show_label=False,
            visible=False,
            elem_id="map-score",
            elem_classes=["bd-field", "bd-switch"],
        )
        figure = PlotlyChart(label=text.CURVE, height=CHART_PIXELS, elem_id="map-curve")
        table = TableTwin(label=text.CURVE, elem_id="map-table", opened=True)
    return MapPanels(card, note, metric, figure, table)


def hide_maps() -> list[Any]:
    """Answer for a page without maps."""
    return [gr.Column(visible=False), "", gr.Radio(visible=False), None, None]


def show_maps(services: Services, run: RunRecord, query: Mapping[str, str]) -> list[Any]:
    """Return curve and table of what a run's maps scored, as the address selects."""
    shown = find_shown(services, run)
    if shown is None:
        return hide_maps()
    scores = list_map_scores(services.database, shown.id)
    titles = list_metrics(scores)
    key = query.get("score", "")
    key = key if key in titles else next(iter(titles), "")
    choices = gr.Radio(
        choices=[(title, each) for each, title in titles.items()],
        value=key or None,
        visible=len(titles) > 1,
    )
    note = _write_note(run, shown, scores)
    figure = draw_score(services, shown, key)
    table = list_table(
        scores,
        trained=list_trained_points(services.database, shown).points,
        baseline=_list_baseline(services, shown),
    )
    return [gr.Column(visible=True), note, choices, figure, table if scores else None]


def draw_score(services: Services, shown: RunRecord, key: str) -> dict[str, Any]:
    """Draw one score of an evaluation of maps.

    Args:
        services: Where scores are read.
        shown: The evaluation of maps.
        key: Of the score; "" where there is none yet.
    """
    if not key:
        return map_curve.draw_empty(_explain_empty(shown))
    database = services.database
    found = read_points(
        list_map_scores(database, shown.id),
        shown.spec["maps"],
        key,
        trained=list_trained_points(database, shown).points,
        baseline=_list_baseline(services, shown),
    )
    return map_curve.draw(found, empty=_explain_empty(shown))


def find_shown(services: Services, run: RunRecord) -> RunRecord | None:
    """Return the evaluation a page shows: the run itself, or the newest finished one on it."""
    if run.kind == MAP_EVALUATION:
        return run
    if run.kind != "experiment":
        return None
    return next(iter(find_map_evaluations(services.database, run.id)), None)


def sign_maps(services: Services, run: RunRecord) -> str:
    """Return a text that changes whenever what `show_maps` answers may have changed."""
    shown = find_shown(services, run)
    if shown is None:
        return ""
    return f"{shown.id} {shown.state} {len(list_map_scores(services.database, shown.id))}"


def wire_maps(services: Services, panels: MapPanels) -> None:
    """Make the choice of a score redraw the curve and stand in the address."""

    def choose(key: str | None, request: gr.Request) -> Any:
        run = find_asked_run(services, request.query_params)
        shown = None if isinstance(run, Missing) else find_shown(services, run)
        if isinstance(run, Missing) or shown is None or not key:
            return gr.skip()
        return draw_score(services, shown, key)

    panels.metric.input(
        choose, [panels.metric], panels.figure, trigger_mode="always_last", **FAST
    ).then(None, [panels.metric], None, js=_TO_ADDRESS)


def _list_baseline(services: Services, shown: RunRecord) -> tuple[ScoreRecord, ...]:
    baseline = runs.find_baseline(services.database, shown.baseline_key)
    if baseline is None:
        return ()
    scores = measurements.list_scores(services.database, baseline.id)
    return tuple(score for score in scores if score.phase == "final")


def _write_note(run: RunRecord, shown: RunRecord, scores: tuple[MapScoreRecord, ...]) -> str:
    note = text.OWN if run.id == shown.id else text.NEWEST.format(id=shown.id)
    done, count = len({score.place for score in scores}), len(shown.spec["maps"])
    if not 0 < done < count:
        return note
    return f"{note} {text.PARTIAL.format(done=done, count=count_maps(shown))}"


def _explain_empty(shown: RunRecord) -> str:
    if shown.state == "failed":
        return text.EMPTY_FAILED
    return text.EMPTY_ENDED if shown.state in TERMINAL_STATES else text.EMPTY_WAITING
