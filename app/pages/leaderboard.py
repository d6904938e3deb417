"""The Leaderboard page (`/?sort=&search=&min_bits=&max_bits=&columns=&metric=&setting=`).

The table reads REST by itself; the figure above shows what its filter lets through. What is chosen
is in the address. Start with `LeaderboardPage`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.heading import build_heading
from app.components.leaderboard_table import LeaderboardTable
from app.components.page_load import FAST, listen_to_load
from app.plots import quality_against_bits
from app.services import Services
from app.tables.leaderboard import View, arrange, is_kept
from app.tables.leaderboard_columns import list_score_keys
from app.text import leaderboard as text
from tasks.store import leaderboard
from tasks.store.records import LeaderboardRow

_TO_RUN = "(id) => { if (id) location.assign('/run?id=' + id); }"
_TO_ADDRESS = """(setting, metric) => {
  const query = new URLSearchParams(location.search);
  query.set('setting', setting); query.set('metric', metric);
  history.replaceState(history.state, '', '?' + query);
}"""


@dataclass(frozen=True)
class Choices:
    """What the figure can show and what is chosen.

    Attributes:
        settings: (title, baseline key) of each setting, the one with most runs first.
        metrics: (title, "benchmark|metric") of each score of the chosen setting.
        setting: Chosen baseline key; None where nothing has finished.
        metric: Chosen score key.
    """

    settings: tuple[tuple[str, str], ...]
    metrics: tuple[tuple[str, str], ...]
    setting: str | None
    metric: str | None


def list_choices(rows: tuple[LeaderboardRow, ...], query: Mapping[str, str]) -> Choices:
    """Return what can be chosen, and what is: the address decides where it names what exists."""
    settings = {group.key: group.title for group in arrange(rows, View())}
    setting = query.get("setting", "")
    if setting not in settings:
        setting = next(iter(settings), "")
    metrics = list_score_keys(row for row in rows if row.run.baseline_key == setting)
    metric = query.get("metric", "")
    if metric not in metrics:
        metric = next(iter(metrics), "")
    return Choices(
        tuple((title, key) for key, title in settings.items()),
        tuple((title, key) for key, title in metrics.items()),
        setting or None,
        metric or None,
    )


def read_view(query: Mapping[str, str]) -> View:
    """Read the table's filter from the address; what is no number is no bound."""
    return View(
        search=query.get("search", "")[:200],
        min_bits=_read_number(query.get("min_bits")),
        max_bits=_read_number(query.get("max_bits")),
    )


def draw_figure(
    rows: tuple[LeaderboardRow, ...], choices: Choices, query: Mapping[str, str]
) -> dict[str, Any]:
    """Draw the chosen score of the chosen setting for the runs the filter lets through."""
    view = read_view(query)
    kept = [row for row in rows if row.run.baseline_key == choices.setting and is_kept(row, view)]
    return quality_against_bits.draw(quality_against_bits.read_points(kept, choices.metric or ""))


def _read_number(text: str | None) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class LeaderboardPage:
    """The handlers of the page, bound to the services."""

    services: Services

    def load(self, request: gr.Request) -> tuple[Any, ...]:
        """Fill the figure and its two choices; all hidden before the first finished run."""
        rows = leaderboard.list_rows(self.services.database)
        choices = list_choices(rows, request.query_params)
        return (
            gr.Column(visible=bool(rows)),
            gr.Dropdown(
                choices=list(choices.settings),
                value=choices.setting,
                visible=len(choices.settings) > 1,
            ),
            gr.Dropdown(choices=list(choices.metrics), value=choices.metric),
            draw_figure(rows, choices, request.query_params),
        )

    def choose(
        self, setting: str | None, metric: str | None, request: gr.Request
    ) -> tuple[Any, ...]:
        """Show another setting or score: the choices of scores and the figure."""
        rows = leaderboard.list_rows(self.services.database)
        query = {**request.query_params, "setting": setting or "", "metric": metric or ""}
        choices = list_choices(rows, query)
        return (
            gr.Dropdown(choices=list(choices.metrics), value=choices.metric),
            draw_figure(rows, choices, query),
        )

    def open_run(self, event: gr.EventData) -> str:
        """Return the run behind the clicked marker as text; the browser goes there."""
        run_id = getattr(event, "customdata", None)
        return str(run_id) if isinstance(run_id, int) else ""


def build(services: Services) -> None:
    """Build the page and wire it."""
    page = LeaderboardPage(services)
    build_heading(text.TITLE, text.LEAD)
    with gr.Column(visible=False, elem_id="quality", elem_classes="bd-card") as body:
        with gr.Row():
            with gr.Column(elem_classes="bd-fields", scale=3):
                setting = gr.Dropdown(
                    label=text.SETTING,
                    choices=[],
                    elem_id="setting",
                    elem_classes=["bd-field", "bd-field-wide"],
                )
            with gr.Column(elem_classes="bd-fields", scale=1, min_width=250):
                metric = gr.Dropdown(
                    label=text.METRIC, choices=[], elem_id="metric", elem_classes="bd-field"
                )
        figure = PlotlyChart(label=text.FIGURE, height=360, elem_id="quality-figure")
    table = LeaderboardTable(elem_id="leaderboard")
    target = gr.Textbox(visible=False)
    listen_to_load(page.load, [], [body, setting, metric, figure])
    table.view_changed(page.load, None, [body, setting, metric, figure], **FAST)
    for chooser in (setting, metric):
        chooser.input(page.choose, [setting, metric], [metric, figure], **FAST).then(
            None, [setting, metric], None, js=_TO_ADDRESS
        )
    figure.point_click(page.open_run, None, target, trigger_mode="multiple", **FAST).then(
        None, [target], None, js=_TO_RUN
    )
