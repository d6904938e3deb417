"""Promises of what the Run page shows of a start, without a browser."""

from __future__ import annotations

from typing import Any

from app.pages.run import show_findings, sign_findings
from app.pages.run_start import choose_iteration, hide_start, show_start
from app.tables.run_facts import Findings, describe_facts
from app.text import starts as text
from tasks.store import files, runs
from tests.filled import Filled, Started

CARD, SLIDER, MAP, MEAN, TABLE, WIDTHS_CARD, NOTE, WIDTHS, WIDTHS_TABLE = range(9)


def show(filled: Filled, run_id: int) -> list[Any]:
    """Return what the page shows of a run's start."""
    return show_start(filled.services, runs.get_run(filled.services.database, run_id))


def test_a_start_is_shown_after_its_last_iteration(started: Started) -> None:
    """Map, mean and table are there, and a slider with as many steps as iterations."""
    shown = show(started, started.starts.loftq)
    assert shown[CARD].visible
    assert not shown[WIDTHS_CARD].visible
    slider = shown[SLIDER]
    assert (slider.visible, slider.maximum, slider.value) == (True, 5, 5)
    assert len(shown[MAP]["data"][0]["z"]) == 7
    assert len(shown[TABLE]["rows"]) == 211


def test_another_iteration_redraws_map_and_mean(started: Started) -> None:
    """What the slider says is what is drawn; what it cannot say breaks nothing."""
    run = runs.get_run(started.services.database, started.starts.loftq)
    first, last, beyond, nothing = (
        choose_iteration(started.services, run, each) for each in (1, 5, 99, None)
    )
    assert first[0]["data"][0]["z"] != last[0]["data"][0]["z"]
    assert last == beyond == nothing


def test_widths_are_shown_where_layers_differ(started: Started) -> None:
    """A fraction of bits has its map beside the error's."""
    shown = show(started, started.starts.mixed)
    assert shown[CARD].visible
    assert shown[WIDTHS_CARD].visible
    assert "2.47" in shown[NOTE]
    assert len(shown[WIDTHS_TABLE]["rows"]) == 210


def test_what_is_not_there_is_said(started: Started) -> None:
    """A queued run waits, one without a report says so, a damaged one says what is wrong."""
    assert show(started, started.starts.waiting)[MAP]["meta"]["empty"] == text.ERROR_WAITING
    damaged = show(started, started.starts.damaged)
    assert damaged[MAP]["data"] == []
    assert "cannot be read" in damaged[MAP]["meta"]["empty"]
    assert damaged[TABLE] is None
    assert not damaged[SLIDER].visible


def test_runs_without_such_a_start_show_nothing(filled: Filled) -> None:
    """An ordinary run has no empty cards."""
    shown = show(filled, filled.samples.qat)
    assert [shown[CARD].visible, shown[WIDTHS_CARD].visible] == [False, False]
    assert len(shown) == len(hide_start())


def test_a_new_report_is_noticed(started: Started) -> None:
    """What a tick compares changes with the reports, so that an open page draws them."""
    database = started.services.database
    first, second = (
        runs.get_run(database, each) for each in (started.starts.waiting, started.starts.loftq)
    )
    assert sign_findings(started.services, first, {}) != sign_findings(started.services, second, {})
    assert str(files.list_files(database, second.id)[0].id) in sign_findings(
        started.services, second, {}
    )
    assert len(show_findings(started.services, first, {})) == len(
        show_findings(started.services, second, {})
    )


def test_a_finished_run_can_be_exported(started: Started) -> None:
    """The command stands there to be copied; a run that waits or changed nothing has none."""
    database = started.services.database
    commands = {}
    for run_id in (started.starts.loftq, started.starts.waiting, started.samples.baseline):
        run = runs.get_run(database, run_id)
        found = Findings((), (), None, files.list_files(database, run_id), ())
        sections = {section.id: section for section in describe_facts(run, found)}
        exported = sections.get("export")
        commands[run_id] = exported.rows[0].cells[0].copies if exported else None
    assert commands == {
        started.starts.loftq: f"bitdial export {started.starts.loftq} FOLDER",
        started.starts.waiting: None,
        started.samples.baseline: None,
    }
