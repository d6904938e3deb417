"""A tiny model scored by the real runners, from store to store, and made smaller by its scores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.events import Event, Logged, SensitivityScored
from engine.layer_sensitivity import STATE_FILE
from engine.session import Workspace
from engine.specs import SensitivitySpec, resolve
from tasks.attempt import carry_out
from tasks.lease import claim_run, give_back
from tasks.runners.catalogue import RUNNERS
from tasks.runners.context import RunContext, Runner
from tasks.runners.sensitivity import run as run_sensitivity_here
from tasks.score_tables import load_scores
from tasks.solve_requests import read_request
from tasks.solving import solve_map
from tasks.store.files import list_files
from tasks.store.logs import list_log_lines
from tasks.store.records import RunRecord, SensitivityScoreRecord
from tasks.store.runs import get_run
from tasks.store.sensitivity_scores import list_scores
from tasks.submit import Desk, cancel, delete, submit, submit_sensitivity
from tests.services import wait_until
from tests.tasks.test_map_runs import ask as ask_training
from tests.tiny_models import save_llama

ABLATION = {"method": "ablation"}
NUM_LAYERS = 14


def ask(folder: Path, *, sentences: int = 40, **values: Any) -> dict[str, Any]:
    """Return a request to score a tiny model."""
    if not (folder / "model").exists():
        save_llama(folder / "model")
    (folder / "text.txt").write_text("The quick brown fox jumps over the lazy dog. " * sentences)
    data = {"source": str(folder / "text.txt"), "split": "train"}
    return {
        "model": {"source": str(folder / "model")},
        "quantizer": {"grid": "integer", "group_size": 16},
        "widths": [4, 2],
        "calibration": {"data": data, "num_samples": 4, "max_length": 16},
        **values,
    }


def carry(desk: Desk, run_id: int, runner: Runner | None = None) -> RunRecord:
    """Carry a queued run out in this process."""
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    kind = get_run(desk.database, run_id).kind
    carry_out(desk, claim, {kind: runner or RUNNERS[kind]})
    return get_run(desk.database, run_id)


def listening(listen: Callable[[Event], None]) -> Runner:
    """Return the real runner with somebody else listening after the recorder."""

    def run(context: RunContext) -> None:
        def both(event: Event) -> None:
            context.listener(event)
            listen(event)

        RUNNERS["sensitivity"](RunContext(**vars(context) | {"listener": both}))

    return run


def read_values(desk: Desk, run_id: int) -> dict[tuple[str, int, str], float]:
    return {(s.unit, s.bits, s.metric): s.value for s in list_scores(desk.database, run_id)}


def test_an_interrupted_ablation_repeats_nothing(desk: Desk, tmp_path: Path) -> None:
    """It ends with the scores of one that was left alone; they go with the run."""
    whole = submit_sensitivity(desk, ask(tmp_path, method=ABLATION))
    assert carry(desk, whole.id).state == "succeeded"
    run = submit_sensitivity(desk, ask(tmp_path, method=ABLATION))
    seen: list[tuple[str, int]] = []

    def stop_later(event: Event) -> None:
        if isinstance(event, SensitivityScored):
            seen.append((event.unit, event.bits))
            if len(set(seen)) == 9:
                raise KeyboardInterrupt

    assert carry(desk, run.id, listening(stop_later)).state == "queued"
    first = set(seen)
    seen.clear()
    ended = carry(desk, run.id, listening(lambda event: _note(event, seen)))
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    assert len(first & set(seen)) <= 1
    assert len(first | set(seen)) == 2 * NUM_LAYERS
    assert read_values(desk, run.id) == pytest.approx(read_values(desk, whole.id))
    lines = [line.message for line in list_log_lines(desk.database, run.id)]
    assert "8 units at widths are measured already" in lines
    assert ended.estimate is not None
    assert ended.resources is not None
    stages = set(ended.resources["seconds_by_stage"])
    assert stages <= set(ended.estimate["seconds_parts"])
    assert "sensitivity" in stages
    delete(desk, run.id)
    assert list_scores(desk.database, run.id) == ()


def _note(event: Event, seen: list[tuple[str, int]]) -> None:
    if isinstance(event, SensitivityScored):
        seen.append((event.unit, event.bits))


def test_a_cancelled_ablation_keeps_its_scores(desk: Desk, tmp_path: Path) -> None:
    """What is there can be used, and says how far it came."""
    run = submit_sensitivity(desk, ask(tmp_path, method=ABLATION, widths=[2]))
    seen: list[tuple[str, int]] = []

    def runner(context: RunContext) -> None:
        def listen(event: Event) -> None:
            context.listener(event)
            _note(event, seen)
            if len(set(seen)) == 5:
                cancel(desk, run.id)
                context.listener(Logged("info", "written at once"))

        RUNNERS["sensitivity"](RunContext(**vars(context) | {"listener": listen}))

    assert carry(desk, run.id, runner).state == "cancelled"
    table = load_scores(desk, run.id)
    assert len(table.scores) == 5
    assert table.note == (
        f"run {run.id} was cancelled after 5 of 14 layers; 9 layers have no score and keep their "
        "width"
    )
    solved = solve_map(desk, read_request({"sensitivity": run.id, "budget": "16 bits"}))
    assert set(solved.counts) == {16}


@pytest.mark.slow
def test_a_killed_process_repeats_nothing(desk: Desk, tmp_path: Path) -> None:
    """A real attempt dies in the middle; the next one measures only what is missing."""
    asked = ask(
        tmp_path, sentences=2000, method={**ABLATION, "reuse_activations": False},
        widths=[4, 2],
        calibration={
            "data": {"source": str(tmp_path / "text.txt"), "split": "train"},
            "num_samples": 40, "max_length": 64,
        },
    )  # fmt: skip
    run = submit_sensitivity(desk, asked)
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run.id)
    assert claim is not None
    words = map(str, (run.id, claim.attempt, os.getpid()))
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.attempt", *words],
        env=desk.settings.build_environment(),
        cwd=Path(__file__).parents[2],
    )
    try:
        wait_until(lambda: len(list_scores(desk.database, run.id)) >= 6)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert get_run(desk.database, run.id).state == "running"
    before = list_scores(desk.database, run.id)
    give_back(desk.database, claim, outcome="lost")
    seen: list[tuple[str, int]] = []
    ended = carry(desk, run.id, listening(lambda event: _note(event, seen)))
    assert ended.state == "succeeded"
    after = list_scores(desk.database, run.id)
    assert len({(each.unit, each.bits) for each in after}) == 2 * NUM_LAYERS
    repeated = {(each.unit, each.bits) for each in before} & set(seen)
    assert len(repeated) <= 1
    kept: list[SensitivityScoreRecord] = [
        each for each in before if (each.unit, each.bits) not in repeated
    ]
    assert set(kept) <= set(after)


def test_a_gradient_goes_on_from_what_an_earlier_attempt_gathered(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state moves from attempt to attempt, and what came of it stays whole."""
    found: list[bytes] = []

    def stop(context: RunContext) -> None:
        if (context.folder / STATE_FILE).exists():
            found.append((context.folder / STATE_FILE).read_bytes())
        raise KeyboardInterrupt

    run = submit_sensitivity(desk, ask(tmp_path))
    carry(desk, run.id, stop)
    (desk.settings.attempt_folder(run.id, 1) / STATE_FILE).write_bytes(b"gathered")

    def read_state(_: SensitivitySpec, *, workspace: Workspace, **others: Any) -> None:
        del others
        found.append((workspace.folder / STATE_FILE).read_bytes())

    monkeypatch.setattr("tasks.runners.sensitivity.run_sensitivity", read_state)
    assert carry(desk, run.id, run_sensitivity_here).state == "succeeded"
    assert found == [b"gathered"]
    assert not (desk.settings.attempt_folder(run.id, 1) / STATE_FILE).exists()


@pytest.mark.parametrize("method", ["gradient", "output-error", "weight-error"])
def test_scores_become_a_smaller_model(desk: Desk, tmp_path: Path, method: str) -> None:
    """Scored, solved, rounded: the run weighs to the byte what the solved map said."""
    scored = submit_sensitivity(desk, ask(tmp_path, method={"method": method}))
    assert carry(desk, scored.id).state == "succeeded"
    names = {Path(each.path).name for each in list_files(desk.database, scored.id)}
    assert "layer-facts.json" in names
    table = load_scores(desk, scored.id)
    assert table.is_complete
    assert len(table.scores) == NUM_LAYERS
    solved = solve_map(desk, read_request({"sensitivity": scored.id, "budget": "5"}))
    asked = {
        "model": {"source": str(tmp_path / "model")},
        "quantizer": {
            "grid": "integer", "group_size": 16, "layer_bits": list(solved.layer_map.lines),
        },
        "evaluation": {
            "data": {"source": str(tmp_path / "text.txt"), "split": "train"},
            "max_length": 16, "limit": 2,
        },
    }  # fmt: skip
    rounded = submit(desk, resolve(asked), with_baseline=False)
    ended = carry(desk, rounded.id)
    assert ended.state == "succeeded"
    assert ended.size is not None
    assert ended.size["total_bytes"] == solved.ledger.total


def test_a_training_run_is_scored_with_its_adapters(desk: Desk, tmp_path: Path) -> None:
    """By ablation from its own width, each width with its adapter."""
    trained = submit(desk, resolve(ask_training(tmp_path)), with_baseline=False)
    assert carry(desk, trained.id).state == "succeeded"
    data = {"source": str(tmp_path / "text.txt"), "split": "train"}
    asked = {
        "parent": trained.id, "method": ABLATION, "unit": "block", "start_bits": 8, "widths": [4],
        "calibration": {"data": data, "num_samples": 2, "max_length": 16},
    }  # fmt: skip
    run = submit_sensitivity(desk, asked)
    assert carry(desk, run.id).state == "succeeded"
    assert {each.unit for each in list_scores(desk.database, run.id)} == {
        "model.layers.0",
        "model.layers.1",
    }
