"""Promises of what the Run page shows of a start, without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.pages.run import show_findings, sign_findings
from app.pages.run_start import choose_iteration, hide_start, show_start
from app.tables.run_facts import Findings, describe_facts
from app.text import starts as text
from engine.events import Event, FileWritten
from engine.initialize.error_report import ERROR_FILE, write_errors
from tasks.store import files, runs
from tests.filled import Filled, Started
from tests.start_samples import make_errors, write_report
from tests.store_samples import carry_out, open_events

CARD, TITLE, LEAD, SLIDER, MAP, MEAN, TABLE, WIDTHS_CARD, NOTE, WIDTHS, WIDTHS_TABLE = range(11)


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


def test_errors_of_outputs_are_not_those_of_weights(started: Started) -> None:
    """Title and formula say what the errors are of; a file that does not say is of weights."""
    aware, plain = started.starts.families["data-aware", 4], started.starts.loftq
    shown = {run_id: show(started, run_id) for run_id in (aware, plain)}
    assert "outputs" in shown[aware][TITLE]
    assert "·X‖" in shown[aware][LEAD]
    assert "weights" in shown[plain][TITLE]
    assert "·X‖" not in shown[plain][LEAD]
    report = started.services.settings.attempt_folder(aware, 1) / ERROR_FILE
    older = {
        key: value for key, value in json.loads(report.read_text()).items() if key != "measure"
    }
    write_report(report, older)
    assert show(started, aware)[TITLE] == shown[plain][TITLE]


def test_a_start_by_data_is_announced_as_such(started: Started) -> None:
    """Before the report is there, the spec says what will be measured."""
    run = runs.get_run(started.services.database, started.starts.waiting)
    spec = run.spec | {"initialization": {"method": "data-aware"}}
    assert "outputs" in show_start(started.services, replace(run, spec=spec))[TITLE]


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
    sentence = damaged[MAP]["meta"]["empty"]
    assert sentence.startswith(f"The file {ERROR_FILE} of run {started.starts.damaged} cannot be")
    run = runs.get_run(started.services.database, started.starts.damaged)
    assert choose_iteration(started.services, run, 1)[0]["meta"]["empty"] == sentence
    assert damaged[TABLE] is None
    assert not damaged[SLIDER].visible


def test_runs_without_such_a_start_show_nothing(filled: Filled) -> None:
    """An ordinary run has no empty cards."""
    shown = show(filled, filled.samples.qat)
    assert [shown[CARD].visible, shown[WIDTHS_CARD].visible] == [False, False]
    assert len(shown) == len(hide_start())


def test_a_new_report_is_noticed(started: Started) -> None:
    """What a tick compares changes with a run's reports, so that an open page draws them."""
    database = started.services.database
    run = runs.get_run(database, started.starts.waiting)
    before = sign_findings(started.services, run, {})
    assert sign_findings(started.services, run, {}) == before
    carry_out(started.services.desk, run.id, _report(started, run.id))
    assert sign_findings(started.services, run, {}) != before
    other = runs.get_run(database, started.starts.loftq)
    assert len(show_findings(started.services, run, {})) == len(
        show_findings(started.services, other, {})
    )


def _report(started: Started, run_id: int) -> Iterator[Event]:
    yield from open_events()
    folder = started.services.settings.attempt_folder(run_id, 1)
    write_errors(folder / ERROR_FILE, make_errors(4))
    yield FileWritten("report", ERROR_FILE)


def test_a_finished_run_can_be_exported(started: Started) -> None:
    """The commands stand there to be copied; a run that waits or changed nothing has none."""
    database = started.services.database
    commands = {}
    for run_id in (started.starts.loftq, started.starts.waiting, started.samples.baseline):
        run = runs.get_run(database, run_id)
        found = Findings((), (), None, files.list_files(database, run_id), ())
        sections = {section.id: section for section in describe_facts(run, found)}
        exported = sections.get("export")
        commands[run_id] = [row.cells[0].copies for row in exported.rows] if exported else None
    assert commands == {
        started.starts.loftq: [
            f"bitdial export {started.starts.loftq} FOLDER",
            f"bitdial map {started.starts.loftq} -o FILE",
        ],
        started.starts.waiting: None,
        started.samples.baseline: None,
    }
