"""A trained model's scores at many layer maps on the Run page: curve, choice of score, table.

An evaluation of maps shows its own, also while it runs; a training run those of its newest finished
evaluation. Which score is drawn stands in the address (`&score=`); a click on the mark of a run
that was trained alone opens that run. Start with `show_maps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.page_load import FAST, TO_PAGE
from app.components.table_twin import TableTwin
from app.pages.run_finding import Missing, find_asked_run
from app.plots import map_curve
from app.plots.map_points import MapPoints, key_of, list_choices, read_points, write_value
from app.services import Services
from app.tables.describing import count_maps
from app.tables.map_table import list_table
from app.text import maps as text
from tasks.store import measurements, runs
from tasks.store.map_scores import find_map_evaluations, list_map_scores, list_trained_points
from tasks.store.records import TERMINAL_STATES, MapScoreRecord, RunRecord, ScoreRecord

CHART_PIXELS = 440
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
    titles = list_choices(scores)
    key = query.get("score", "")
    key = key if key in titles else next(iter(titles), "")
    choices = gr.Radio(
        choices=[(title, each) for each, title in titles.items()],
        value=key or None,
        visible=len(titles) > 1,
    )
    table = list_table(
        scores,
        trained=list_trained_points(services.database, shown).points,
        baseline=_list_baseline(services, shown),
    )
    note, figure = draw_score(services, run, shown, key)
    return [gr.Column(visible=True), note, choices, figure, table if scores else None]


def draw_score(
    services: Services, run: RunRecord, shown: RunRecord, key: str
) -> tuple[str, dict[str, Any]]:
    """Draw one score of an evaluation of maps; return what is said above the figure, and it.

    Args:
        services: Where scores are read.
        run: Whose page it is.
        shown: The evaluation of maps.
        key: Of the score; "" where there is none yet.
    """
    database = services.database
    scores = list_map_scores(database, shown.id)
    note = _write_note(run, shown, scores)
    if not key:
        return note, map_curve.draw_empty(_explain_empty(shown))
    trained = list_trained_points(database, shown)
    found = read_points(
        scores,
        shown.spec["maps"],
        key,
        trained=trained.points,
        baseline=_list_baseline(services, shown),
    )
    more = _write_left_out(trained.num_left_out) if found.alone else ""
    said = " ".join(filter(None, (note, more, _write_undrawn(found))))
    return said, map_curve.draw(found, empty=_explain_empty(shown))


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
    """Make the choice of a score redraw the curve and stand in the address; let marks be opened."""
    target = gr.Textbox(visible=False)

    def choose(key: str | None, request: gr.Request) -> Any:
        run = find_asked_run(services, request.query_params)
        shown = None if isinstance(run, Missing) else find_shown(services, run)
        if isinstance(run, Missing) or shown is None or not key:
            return gr.skip(), gr.skip()
        return draw_score(services, run, shown, key)

    panels.metric.input(
        choose,
        [panels.metric],
        [panels.note, panels.figure],
        trigger_mode="always_last",
        **FAST,
    ).then(None, [panels.metric], None, js=_TO_ADDRESS)
    panels.figure.point_click(open_marked, None, [target], trigger_mode="multiple", **FAST).then(
        None, [target], None, js=TO_PAGE
    )


def open_marked(event: gr.EventData) -> str:
    """Return the address of the run whose mark was clicked; "" for other marks."""
    run_id = getattr(event, "customdata", None)
    return f"/run?id={run_id}" if isinstance(run_id, int) else ""


def _list_baseline(services: Services, shown: RunRecord) -> tuple[ScoreRecord, ...]:
    baseline = runs.find_baseline(services.database, shown.baseline_key)
    if baseline is None:
        return ()
    scores = measurements.list_scores(services.database, baseline.id)
    return tuple(score for score in scores if score.phase == "final")


def _write_note(run: RunRecord, shown: RunRecord, scores: tuple[MapScoreRecord, ...]) -> str:
    note = text.OWN if run.id == shown.id else text.NEWEST.format(id=shown.id)
    done, count = _count_done(shown, scores), len(shown.spec["maps"])
    if not scores or done == count:
        return note
    said = text.PARTIAL_ENDED if shown.state in TERMINAL_STATES else text.PARTIAL
    return f"{note} {said.format(done=done, count=count_maps(shown))}"


def _count_done(shown: RunRecord, scores: Sequence[MapScoreRecord]) -> int:
    """Return how many maps are measured whole.

    They are measured one after another, so only the last may be cut short: it is whole where it has
    all scores of those before, or the run is through.
    """
    keys = {score.place: set[str]() for score in scores}
    for score in scores:
        keys[score.place].add(key_of(score))
    if not keys or shown.state == "succeeded":
        return len(keys)
    last = keys.pop(max(keys))
    is_whole = bool(keys) and set.union(*keys.values()) <= last
    return len(keys) + is_whole


def _write_left_out(count: int) -> str:
    return text.LEFT_OUT[count != 1].format(count=count) if count else ""


def _write_undrawn(found: MapPoints) -> str:
    told = "; ".join(f"{score.label}: {write_value(score)}" for score in found.undrawn)
    return text.NOT_DRAWN.format(told=told) if told else ""


def _explain_empty(shown: RunRecord) -> str:
    if shown.state == "failed":
        return text.EMPTY_FAILED
    return text.EMPTY_ENDED if shown.state in TERMINAL_STATES else text.EMPTY_WAITING
