"""Promises of what the Run page says of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.tables.run_actions import list_actions, progress_ratio
from app.tables.run_facts import describe_estimates
from app.tables.run_header import describe_header
from app.tables.spec_section import describe_spec
from tasks.store import runs
from tasks.store.records import RunRecord, RunState, StageRecord
from tests.filled import Filled

ACTIONS = {
    "draft": ["clone", "delete"],
    "queued": ["cancel", "clone", "delete"],
    "running": ["cancel", "clone"],
    "succeeded": ["clone", "delete"],
    "failed": ["retry", "clone", "delete"],
    "cancelled": ["retry", "clone", "delete"],
}


def read(filled: Filled, run_id: int) -> RunRecord:
    """Return a run of the filled store."""
    return runs.get_run(filled.services.database, run_id)


def head(filled: Filled, run_id: int, **changes: Any) -> dict[str, Any]:
    """Return the head of a run's page."""
    run = replace(read(filled, run_id), **changes)
    return describe_header(run, runs.list_stages(filled.services.database, run_id), num_before=0)


@pytest.mark.parametrize("state", ACTIONS)
def test_actions_follow_the_state(filled: Filled, state: RunState) -> None:
    """Only what the store would accept is offered."""
    run = replace(read(filled, filled.samples.qat), state=state)
    assert list(list_actions(run)) == ACTIONS[state]


def test_cancel_is_offered_once(filled: Filled) -> None:
    """A run that was asked to stop says so, and cannot be asked again."""
    asked = head(filled, filled.samples.running, control="cancel")
    assert "cancel" not in asked["run"]["actions"]
    assert "stop" in asked["hint"]


@pytest.mark.parametrize(
    ("done", "total", "ratio"), [(3, 4, 0.75), (9, 4, 1.0), (0, 0, None), (5, None, None)]
)
def test_progress_stays_between_none_and_all(
    filled: Filled, done: int, total: int | None, ratio: float | None
) -> None:
    """Progress is a share between 0 and 1, and unknown without a total."""
    run = read(filled, filled.samples.running)
    assert progress_ratio(replace(run, progress_done=done, progress_total=total)) == ratio


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("qat", ["done", "done", "done", "done", "done"]),
        ("running", ["done", "done", "done", "now", "todo"]),
        ("failed", ["done", "done", "done", "failed", "todo"]),
        ("cancelled", ["done", "done", "done", "cancelled", "todo"]),
    ],
)
def test_stages_say_where_the_run_is(filled: Filled, name: str, statuses: list[str]) -> None:
    """Stages that were, the one that is, and those to come; an ended run has none that is."""
    stages = head(filled, getattr(filled.samples, name))["stages"]
    assert [stage["status"] for stage in stages] == statuses


def test_untrained_run_has_no_training_stage(filled: Filled) -> None:
    """A run that trains nothing does not promise to."""
    titles = [stage["title"] for stage in head(filled, filled.samples.queued[0])["stages"]]
    assert titles == ["Load", "Teach", "Initialize", "Evaluate"]


@pytest.mark.parametrize(
    ("bits", "rule", "before"),
    [
        (2.5, "sensitivity", ["Load", "Teach", "Sensitivity"]),
        (2.5, "first-layers", ["Load", "Teach"]),
        (4, "sensitivity", ["Load", "Teach"]),
    ],
)
def test_sensitivity_is_measured_before_the_start(
    filled: Filled, bits: float, rule: str, before: list[str]
) -> None:
    """A mix by sensitivity shows its own stage, right before the start, and no other run does."""
    run_id = filled.samples.queued[0]
    spec = read(filled, run_id).spec
    mixed = spec | {"quantizer": {"grid": "integer", "bits": bits, "mixing": {"rule": rule}}}
    titles = [stage["title"] for stage in head(filled, run_id, spec=mixed)["stages"]]
    assert titles[: titles.index("Initialize")] == before


def test_stages_stand_as_they_began(filled: Filled) -> None:
    """A sensitivity run scores after all that prepares it, from waiting to its end."""
    run = read(filled, filled.samples.running)
    values: dict[str, Any] = {"kind": "sensitivity", "spec": {"method": {"method": "ablation"}}}

    def list_steps(state: RunState, names: Sequence[str]) -> list[tuple[str, str]]:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        stages = [StageRecord(run.id, 1, at, name, moment, 1.0) for at, name in enumerate(names)]
        of_run = replace(run, **values, state=state, stage=names[-1] if names else None)
        return [
            (each["title"], each["status"]) for each in describe_header(of_run, stages)["stages"]
        ]

    titles = ["Load", "Teach", "Initialize", "Facts", "Sensitivity"]
    names = [title.lower() for title in titles]
    assert list_steps("queued", ()) == [(title, "todo") for title in titles]
    begun = ["done", "now", "todo", "todo", "todo"]
    assert list_steps("running", names[:2]) == list(zip(titles, begun, strict=True))
    scoring = ["done", "done", "done", "done", "now"]
    assert list_steps("running", names) == list(zip(titles, scoring, strict=True))
    assert list_steps("succeeded", names) == [(title, "done") for title in titles]
    # other methods do not ask the 16-bit model, and a stage that is not planned stands where it was
    values["spec"] = {"method": {"method": "gradient"}}
    assert [title for title, _ in list_steps("queued", ())] == [titles[0], *titles[2:]]
    assert [title for title, _ in list_steps("running", ("load", "search"))] == [
        "Load", "Search", *titles[2:],
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "start"), [(0, "Next"), (1, "1 run goes"), (2, "2 runs go")])
def test_a_waiting_run_counts_those_before_it(filled: Filled, count: int, start: str) -> None:
    """None, one and several read as sentences."""
    run = read(filled, filled.samples.queued[0])
    assert describe_header(run, (), num_before=count)["hint"].startswith(start)


def test_progress_of_sensitivity_has_its_title(filled: Filled) -> None:
    """Progress names the stage as the list of stages does."""
    shown = head(filled, filled.samples.running, stage="sensitivity", progress_done=1)
    assert shown["progress"]["text"].startswith("Sensitivity 1 ")


def test_failure_is_a_sentence_with_its_traceback(filled: Filled) -> None:
    """A failed run says what kind of thing happened, in a sentence, and keeps the traceback."""
    failure = head(filled, filled.samples.failed)["failure"]
    assert failure["title"] == "Training diverged"
    assert "training.learning_rate" in failure["message"]
    assert failure["traceback"].startswith("Traceback")
    assert head(filled, filled.samples.qat)["failure"] is None


def test_spec_says_where_each_value_came_from(filled: Filled) -> None:
    """Set and preset values are shown, defaults folded; every field is there once."""
    section = describe_spec(read(filled, filled.samples.qat))
    origins = {row.cells[0].text: row.cells[2].text for row in section.rows}
    assert origins["quantizer.bits"] == "set"
    assert origins["adapter.kind"] == "preset"
    assert origins["seed"] == "default"
    assert all(row.quiet == (row.cells[2].text == "default") for row in section.rows)
    assert len(origins) == len(section.rows)


def test_estimates_stand_beside_what_was_measured(filled: Filled) -> None:
    """Each estimate has its measurement beside it and how far it was off."""
    run = read(filled, filled.samples.qat)
    assert run.size is not None
    guess = {"total_bytes": run.size["total_bytes"] / 2, "basis": "3 runs of this model"}
    section = describe_estimates(replace(run, estimate=guess))
    assert [cell.text for cell in section.rows[0].cells] == [
        "Size",
        "49.3 MiB",
        "98.7 MiB",
        "+100.0 %",
    ]
    assert "3 runs of this model" in section.note
    maps = describe_estimates(replace(run, kind="map-evaluation", estimate=guess))
    assert [row.cells[0].text for row in maps.rows] == ["Peak memory", "Time"]
