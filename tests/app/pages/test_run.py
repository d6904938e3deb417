"""Promises of the Run page's handlers, without a browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from app.pages.run import RunPage
from app.pages.run_finding import Missing, find_asked_run
from app.text import run as text
from tasks import submit
from tests.filled import Filled


def ask(**query: Any) -> gr.Request:
    """Return a request whose address has this query."""
    return cast(gr.Request, SimpleNamespace(query_params=query))


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ({}, text.NO_ID),
        ({"id": " "}, text.NO_ID),
        ({"id": "abc"}, "“abc” is not the number of a run"),
        ({"id": "-1"}, "“-1” is not the number of a run"),
        ({"id": "²"}, "“²” is not the number of a run"),
        ({"id": "9" * 400}, None),
        ({"id": "99999"}, "There is no run 99999"),
    ],
)
def test_addresses_without_a_run_are_explained(
    filled: Filled, query: dict[str, str], title: str | None
) -> None:
    """No id, a garbage id and an unknown id each have their sentence, and no body."""
    found = find_asked_run(filled.services, query)
    assert isinstance(found, Missing)
    assert title is None or found.title == title
    header, body, *_, timer = RunPage(filled.services).load(log_scale=False, request=ask(**query))
    assert header["missing"]["title"] == found.title
    assert body.visible is False
    assert timer.active is False


def test_page_is_the_same_in_every_tab(filled: Filled) -> None:
    """What is shown depends on address and store alone."""
    page, request = RunPage(filled.services), ask(id=str(filled.samples.qat))
    first, second = (page.load(log_scale=False, request=request) for _ in range(2))
    assert first[0] == second[0]
    assert first[2:6] == second[2:6]


def test_timer_runs_until_the_run_has_ended(filled: Filled) -> None:
    """A running run is asked again and again, an ended one no more; a retry starts it again."""
    page = RunPage(filled.services)
    for name, is_active in (("running", True), ("failed", False), ("qat", False)):
        request = ask(id=str(getattr(filled.samples, name)))
        assert page.tick("", request)[-1].active is is_active
    submit.retry(filled.services.desk, filled.samples.failed)
    again = page.load(log_scale=False, request=ask(id=str(filled.samples.failed)))
    assert again[-1].active is True


def test_deleted_run_ends_the_polling(filled: Filled) -> None:
    """A tab on a run that was deleted elsewhere says so and stops asking."""
    page, request = RunPage(filled.services), ask(id=str(filled.samples.failed))
    submit.delete(filled.services.desk, filled.samples.failed)
    header, *_, timer = page.tick("", request)
    assert "There is no run" in header["missing"]["title"]
    assert timer.active is False


def test_curves_are_read_again_after_a_retry(filled: Filled) -> None:
    """The address of the curves changes with the attempt and the scale."""
    page, request = RunPage(filled.services), ask(id=str(filled.samples.failed))
    plain = page.rescale(log_scale=False, request=request)
    assert plain != page.rescale(log_scale=True, request=request)
    submit.retry(filled.services.desk, filled.samples.failed)
    assert page.rescale(log_scale=False, request=request) != plain


def test_scores_stand_beside_the_baseline(filled: Filled) -> None:
    """The scores of a run name its baseline and the difference to it."""
    request = ask(id=str(filled.samples.qat))
    facts = RunPage(filled.services).load(log_scale=False, request=request)[2]
    scores = next(section for section in facts["sections"] if section["id"] == "scores")
    assert f"run {filled.samples.baseline}" in scores["note"]
    cells = [cell["text"] for cell in scores["rows"][0]["cells"]]
    assert cells == ["Perplexity ↓", "31.40 ± 0.37", "18.42 ± 0.21", "▲ × 1.705"]
