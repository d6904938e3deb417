"""What the store promises about scores of sensitivity runs, on either database."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, event, func, select

from engine.events import SensitivityScored
from engine.specs import resolve_sensitivity
from tasks.lease import claim_run, give_back
from tasks.naming import baseline_key, make_name
from tasks.settings import Settings
from tasks.store.database import Database
from tasks.store.leaderboard import list_rows
from tasks.store.recording import Batch, finish, write_batch
from tasks.store.run_changes import NewRun, create_run, delete_run, request_cancel, requeue
from tasks.store.runs import get_run
from tasks.store.sensitivity_scores import list_comparable, list_done, list_scores
from tasks.store.tables import SensitivityScore

SCORED = SensitivityScored("model.layers.0.mlp.up_proj", 4, "kl_divergence", 0.25, 0.01, 32)


def make_sensitivity(database: Database, **values: Any) -> int:
    spec = resolve_sensitivity(values)
    new = NewRun(
        name=make_name(spec), kind="sensitivity", spec=spec.model_dump(mode="json"), asked=values,
        preset=None, baseline_key=baseline_key(spec), is_baseline=False, queue="cpu",
    )  # fmt: skip
    return create_run(database, new)[-1]


def write(database: Database, settings: Settings, run_id: int, *scored: SensitivityScored) -> None:
    held = claim_run(database, settings, "host/0", run_id=run_id)
    assert held is not None
    write_batch(database, held, Batch(sensitivity_scores=list(scored)))
    give_back(database, held, outcome="returned")


def begin(database: Database, settings: Settings, **values: Any) -> int:
    run_id = make_sensitivity(database, **values)
    write(database, settings, run_id, SCORED)
    return run_id


def test_the_last_of_the_same_scores_holds(database: Database, settings: Settings) -> None:
    """Within a batch and over attempts; what is no number comes back as none."""
    run_id = make_sensitivity(database)
    low = replace(SCORED, bits=2, value=math.nan, standard_error=None)
    write(database, settings, run_id, SCORED, low, replace(SCORED, value=0.5))
    found = list_scores(database, run_id)
    assert [(each.bits, each.value) for each in found][:1] == [(4, 0.5)]
    assert math.isnan(found[1].value)
    assert found[1].standard_error is None
    write(database, settings, run_id, replace(SCORED, value=0.75, num_samples=64))
    assert [(each.value, each.num_samples) for each in list_scores(database, run_id)][:1] == [
        (0.75, 64)
    ]


def test_thousands_are_written_in_one_transaction(database: Database, settings: Settings) -> None:
    """All layers of a large model at all widths arrive at once, and are there afterwards."""
    run_id = make_sensitivity(database)
    scores = [
        replace(SCORED, unit=f"model.layers.{layer}.mlp.up_proj", bits=bits)
        for layer in range(448)
        for bits in (8, 6, 4, 3, 2)
    ]
    commits: list[int] = []

    def listen(*_: Any) -> None:
        commits.append(1)

    held = claim_run(database, settings, "host/0", run_id=run_id)
    assert held is not None
    event.listen(Engine, "commit", listen)
    try:
        write_batch(database, held, Batch(sensitivity_scores=scores))
    finally:
        event.remove(Engine, "commit", listen)
    assert len(commits) == 1
    assert len(list_scores(database, run_id)) == len(scores)


def test_what_was_measured_whole_is_not_measured_again(
    database: Database, settings: Settings
) -> None:
    """A pair that lacks a metric or samples is; so is the only one, which may be cut short."""
    run_id = make_sensitivity(database)
    assert list_done(database, run_id) == frozenset()
    write(database, settings, run_id, SCORED)
    assert list_done(database, run_id) == frozenset()
    other = replace(SCORED, metric="log_perplexity")
    second = (replace(SCORED, bits=2), replace(other, bits=2))
    short = [replace(each, unit="b", num_samples=8) for each in (SCORED, other)]
    write(database, settings, run_id, other, *second, replace(SCORED, unit="a"), *short)
    assert list_done(database, run_id) == {(SCORED.unit, 4), (SCORED.unit, 2)}


def test_scores_go_with_their_run(database: Database, settings: Settings) -> None:
    """Deleting a sensitivity run leaves none of its scores behind."""
    run_id = begin(database, settings)
    request_cancel(database, run_id)
    delete_run(database, run_id)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SensitivityScore)) == 0


def test_runs_that_answer_the_same_question_are_comparable(
    database: Database, settings: Settings
) -> None:
    """Whatever their method, text and widths; another model, grid, unit or start is another one."""
    run_id = begin(database, settings)
    same = [
        begin(database, settings, method={"method": "ablation"}),
        begin(database, settings, widths=[2], calibration={"num_samples": 4}, seed=7),
        begin(database, settings, quantizer={"grid": "integer", "bits": 2}),
    ]
    for values in (
        {"model": {"source": "other/model"}},
        {"model": {"dtype": "bfloat16"}},
        {"quantizer": {"grid": "integer", "group_size": 32}},
        {"quantizer": {"grid": "normal-float"}},
        {"initialization": {"method": "minimal-error"}},
        {"unit": "block"},
        {"start_bits": 2},
        {"start_map": ["*.mlp.*=4"]},
    ):
        begin(database, settings, **values)
    make_sensitivity(database)
    found = list_comparable(database, get_run(database, run_id))
    assert [run.id for run in found] == same[::-1]


def test_a_sensitivity_run_stays_off_the_leaderboard(
    database: Database, settings: Settings
) -> None:
    """It has no score of its own that could stand beside other runs'."""
    run_id = make_sensitivity(database)
    held = claim_run(database, settings, "host/0", run_id=run_id)
    assert held is not None
    finish(database, held, Batch(sensitivity_scores=[SCORED]), ending="succeeded", columns={})
    assert get_run(database, run_id).state == "succeeded"
    assert list_rows(database) == ()


def test_a_run_that_builds_on_none_can_be_carried_out_again(
    database: Database, settings: Settings
) -> None:
    """What it measures is the model as it is: nothing it needs was deleted."""
    run_id = begin(database, settings)
    request_cancel(database, run_id)
    requeue(database, run_id)
    assert get_run(database, run_id).state == "queued"
    assert len(list_scores(database, run_id)) == 1
