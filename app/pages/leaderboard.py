"""The Leaderboard page (`/?sort=&search=&min_bits=&max_bits=&columns=&published=&metric=&looks=`).

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
from app.plots.quality_points import Look, read_points
from app.services import Services
from app.tables.leaderboard import View, arrange, find_published, is_kept
from app.tables.leaderboard_columns import list_score_keys
from app.text import leaderboard as text
from tasks.store import leaderboard
from tasks.store.records import LeaderboardRow

_TO_RUN = "(id) => { if (id) location.assign('/run?id=' + id); }"
_TO_ADDRESS = """(setting, metric, looks) => {
  const query = new URLSearchParams(location.search);
  query.set('setting', setting); query.set('metric', metric);
  if (looks.length) query.set('looks', looks.join(',')); else query.delete('looks');
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
        published=query.get("published") != "no",
    )


def list_looks(query: Mapping[str, str]) -> list[str]:
    """Return what the address says of how the figure looks, as far as it is known."""
    return [name for name in text.LOOKS if name in query.get("looks", "").split(",")]


def draw_figure(
    rows: tuple[LeaderboardRow, ...], choices: Choices, query: Mapping[str, str]
) -> dict[str, Any]:
    """Draw the chosen score of the chosen setting for the runs the filter lets through."""
    view = read_view(query)
    members = [row for row in rows if row.run.baseline_key == choices.setting]
    kept = [row for row in members if is_kept(row, view)]
    key, looks = choices.metric or "", list_looks(query)
    found = read_points(
        kept,
        key,
        look=Look(families="families" in looks, adapters="adapters" in looks),
        published=find_published(key, members) if view.published else (),
        members=members,
    )
    return quality_against_bits.draw(found)


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
            list_looks(request.query_params),
            draw_figure(rows, choices, request.query_params),
        )

    def choose(
        self,
        setting: str | None,
        metric: str | None,
        looks: list[str] | None,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        """Show another setting, score or look: the choices of scores and the figure."""
        rows = leaderboard.list_rows(self.services.database)
        chosen = {"setting": setting or "", "metric": metric or "", "looks": ",".join(looks or ())}
        query = {**request.query_params, **chosen}
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
        looks = gr.CheckboxGroup(
            choices=[(title, name) for name, title in text.LOOKS.items()],
            label=text.LOOK,
            show_label=False,
            container=False,
            elem_id="looks",
            elem_classes="bd-looks",
        )
        figure = PlotlyChart(label=text.FIGURE, height=360, elem_id="quality-figure")
    table = LeaderboardTable(elem_id="leaderboard")
    target = gr.Textbox(visible=False)
    shown, chosen = [body, setting, metric, looks, figure], [setting, metric, looks]
    listen_to_load(page.load, [], shown)
    table.view_changed(page.load, None, shown, **FAST)
    for chooser in chosen:
        chooser.input(page.choose, chosen, [metric, figure], **FAST).then(
            None, chosen, None, js=_TO_ADDRESS
        )
    figure.point_click(page.open_run, None, target, trigger_mode="multiple", **FAST).then(
        None, [target], None, js=_TO_RUN
    )
