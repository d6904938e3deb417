"""Promises of the Leaderboard page's handlers, without a browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from app.pages.leaderboard import LeaderboardPage, list_choices, read_view
from app.services import Services
from app.tables.leaderboard import View
from tasks.store import leaderboard
from tests.filled import Filled
from tests.store_samples import BENCHMARK


def ask(**query: Any) -> gr.Request:
    """Return a request whose address has this query."""
    return cast(gr.Request, SimpleNamespace(query_params=query))


def count_markers(figure: dict[str, Any]) -> int:
    """Return how many runs a figure shows."""
    return sum(len(trace["x"]) for trace in figure["data"] if trace["mode"] == "markers")


def test_empty_store_hides_the_figure(services: Services) -> None:
    """Before the first finished run there is nothing to choose and no figure."""
    body, setting, metric, _, figure = LeaderboardPage(services).load(ask())
    assert body.visible is False
    assert (setting.value, metric.value) == (None, None)
    assert figure["data"] == []


def test_address_chooses_setting_and_score(filled: Filled) -> None:
    """What the address names is shown where it exists; otherwise the first of all."""
    rows = leaderboard.list_rows(filled.services.database)
    usual = list_choices(rows, {})
    assert (usual.metric, len(usual.settings)) == (f"{BENCHMARK}|perplexity", 2)
    other = usual.settings[1][1]
    chosen = list_choices(rows, {"setting": other, "metric": f"{BENCHMARK}|top1_agreement"})
    assert (chosen.setting, chosen.metric) == (other, f"{BENCHMARK}|top1_agreement")
    assert list_choices(rows, {"setting": "x", "metric": "y"}) == usual


def test_figure_shows_what_the_filter_lets_through(filled: Filled) -> None:
    """Figure and table follow the same filter."""
    page = LeaderboardPage(filled.services)
    assert count_markers(page.load(ask())[-1]) == 7
    assert count_markers(page.load(ask(max_bits="2.5"))[-1]) == 2
    assert count_markers(page.load(ask(search="no such run"))[-1]) == 0


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999"])
def test_what_is_no_number_is_no_bound(text: str) -> None:
    """A garbage bound in the address shows everything."""
    assert read_view({"min_bits": text}) == View()


def test_another_score_is_drawn(filled: Filled) -> None:
    """Choosing a score redraws the figure with its axis."""
    rows = leaderboard.list_rows(filled.services.database)
    setting = list_choices(rows, {}).setting
    metric, figure = LeaderboardPage(filled.services).choose(
        setting, f"{BENCHMARK}|kl_divergence", [], request=ask()
    )
    assert metric.value == f"{BENCHMARK}|kl_divergence"
    assert "KL divergence" in figure["layout"]["yaxis"]["title"]["text"]


@pytest.mark.parametrize(("customdata", "target"), [(7, "7"), (None, ""), ("javascript:", "")])
def test_only_a_run_is_opened(services: Services, customdata: Any, target: str) -> None:
    """A click opens the run behind the marker and nothing else."""
    event = cast(gr.EventData, SimpleNamespace(customdata=customdata))
    assert LeaderboardPage(services).open_run(event) == target
