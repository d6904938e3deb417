"""What the store promises, on either database: one owner per run, no late writes, no lost runs."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from engine.events import Logged, MetricPoint, ScoreMeasured
from tasks.errors import (
    DraftConflict,
    DraftNotFound,
    Fenced,
    RunNotFound,
    WrongState,
)
from tasks.lease import Claim, claim_next, claim_run, find_pulse, give_back, renew
from tasks.recovery import leave, list_unsent, reap, reap_owner, report_death
from tasks.settings import Settings
from tasks.store import drafts, leaderboard, logs, measurements, runs
from tasks.store.clock import later
from tasks.store.database import Database, open_database
from tasks.store.files import list_files
from tasks.store.history import list_past_runs
from tasks.store.recording import Batch, RecordedFile, finish, write_batch
from tasks.store.run_changes import delete_run, mark_sent, request_cancel, requeue
from tasks.store.tables import Run
from tests.tasks.builders import make_run


def claim(database: Database, settings: Settings, run_id: int) -> Claim:
    found = claim_run(database, settings, "host/0", run_id=run_id)
    assert found is not None
    return found


def end(database: Database, held: Claim, ending: str = "succeeded", **columns: object) -> None:
    finish(database, held, Batch(), ending=ending, columns=columns)  # type: ignore[arg-type]


def expire(database: Database, run_id: int) -> None:
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == run_id).values(lease_until=later(-1)))


def points(key: str, *values: float, first: int = 1) -> Batch:
    return Batch(points=[MetricPoint(key, first + i, value) for i, value in enumerate(values)])


def test_no_two_workers_claim_one_run(database: Database, settings: Settings) -> None:
    """Workers racing for the queue get each run exactly once, with its attempt number."""
    run_ids = [make_run(database) for _ in range(24)]
    barrier = threading.Barrier(6)

    def race(number: int) -> list[int]:
        mine = open_database(settings)
        barrier.wait()
        claimed = []
        while found := claim_next(mine, settings, f"host/{number}"):
            claimed.append(found.run_id)
        mine.dispose()
        return claimed

    with ThreadPoolExecutor(6) as pool:
        claimed = [run_id for won in pool.map(race, range(6)) for run_id in won]
    assert sorted(claimed) == run_ids
    assert {run.attempt for run in runs.list_runs(database)} == {1}


def test_the_highest_priority_goes_first_then_the_oldest(
    database: Database, settings: Settings
) -> None:
    """Claims follow priority, and age among equals; positions say the same."""
    old, urgent, young = (make_run(database, priority=p) for p in (0, 5, 0))
    assert [runs.find_queue_position(database, run_id) for run_id in (urgent, old, young)] == [
        0,
        1,
        2,
    ]
    order = [claim_next(database, settings, "host/0") for _ in range(4)]
    assert [one.run_id if one else None for one in order] == [urgent, old, young, None]
    assert runs.find_queue_position(database, old) is None


def test_a_worker_claims_from_its_own_queue_only(database: Database, settings: Settings) -> None:
    """A run for another class of machine is left to it."""
    make_run(database, queue="gpu")
    assert claim_next(database, settings, "host/0") is None


@pytest.mark.parametrize(
    "write",
    [
        lambda database, held: write_batch(database, held, points("train/loss", 1.0)),
        end,
    ],
)
def test_a_lost_attempt_cannot_write(
    database: Database, settings: Settings, write: Callable[[Database, Claim], object]
) -> None:
    """Once a newer attempt owns the run, the older one's writes are refused and leave nothing."""
    run_id = make_run(database)
    old = claim(database, settings, run_id)
    expire(database, run_id)
    reap(database, settings)
    new = claim(database, settings, run_id)
    assert new.attempt == old.attempt + 1
    with pytest.raises(Fenced):
        write(database, old)
    assert renew(database, settings, old) is None
    assert not give_back(database, old, outcome="returned")
    assert measurements.list_series(database, run_id) == ()
    assert runs.get_run(database, run_id).state == "running"


def test_an_expired_run_is_recovered_once(database: Database, settings: Settings) -> None:
    """However many reap at once, each lost run goes back to the queue once."""
    lost = [make_run(database) for _ in range(8)]
    for run_id in lost:
        claim(database, settings, run_id)
        expire(database, run_id)
    alive = make_run(database)
    claim(database, settings, alive)
    with ThreadPoolExecutor(4) as pool:
        reaped = [
            one for found in pool.map(lambda _: reap(database, settings), range(4)) for one in found
        ]
    assert sorted(reaped) == lost
    assert runs.count_by_state(database) == {"queued": 8, "running": 1}
    assert {one.outcome for one in runs.list_attempts(database, lost[0])} == {"lost"}


def test_a_renewed_lease_does_not_expire(database: Database, settings: Settings) -> None:
    """A heartbeat prolongs the lease by the database's clock."""
    run_id = make_run(database)
    held = claim(database, settings, run_id)
    expire(database, run_id)
    assert renew(database, settings, held) is not None
    assert reap(database, settings) == ()


def test_a_run_lost_too_often_fails(database: Database, settings: Settings) -> None:
    """After max_attempts losses a run fails as lost, with a sentence; a retry starts over."""
    run_id = make_run(database)
    for _ in range(settings.max_attempts):
        report_death(
            database,
            settings,
            claim(database, settings, run_id),
            why="its process crashed (SIGSEGV)",
            traceback="tail",
        )
    run = runs.get_run(database, run_id)
    assert (run.state, run.failure_kind) == ("failed", "lost")
    assert run.failure_message == (
        "the run was lost 3 times; the last time its process crashed (SIGSEGV)"
    )
    assert run.failure_traceback == "tail"
    requeue(database, run_id)
    run = runs.get_run(database, run_id)
    assert (run.state, run.failure_message, run.attempt) == ("queued", None, 3)


def test_an_orderly_shutdown_does_not_count_as_lost(database: Database, settings: Settings) -> None:
    """A worker may be restarted any number of times without its run failing."""
    run_id = make_run(database)
    for _ in range(settings.max_attempts + 2):
        claim(database, settings, run_id)
        assert leave(database, settings, "host/0") == (run_id,)
    assert {one.outcome for one in runs.list_attempts(database, run_id)} == {"returned"}
    assert runs.get_run(database, run_id).state == "queued"


def test_a_dead_worker_s_runs_come_back_at_once(database: Database, settings: Settings) -> None:
    """Who takes a dead worker's slot need not wait for its leases to end."""
    run_id = make_run(database)
    claim(database, settings, run_id)
    assert reap_owner(database, settings, "host/1") == ()
    assert reap_owner(database, settings, "host/0") == (run_id,)


def test_cancelling(database: Database, settings: Settings) -> None:
    """A queued run is cancelled at once, a running one is asked, an ended one refuses."""
    run_id = make_run(database)
    assert request_cancel(database, run_id) == "cancelled"
    with pytest.raises(WrongState, match="is cancelled; only queued and running"):
        request_cancel(database, run_id)
    requeue(database, run_id)
    held = claim(database, settings, run_id)
    assert request_cancel(database, run_id) == "running"
    assert write_batch(database, held, Batch()) == "cancel"
    pulse = find_pulse(database, held)
    assert pulse is not None
    assert pulse.control == "cancel"


def test_a_lost_run_that_should_stop_is_cancelled(database: Database, settings: Settings) -> None:
    """A run that was asked to stop is not queued again when its worker dies."""
    run_id = make_run(database)
    claim(database, settings, run_id)
    request_cancel(database, run_id)
    expire(database, run_id)
    reap(database, settings)
    assert runs.get_run(database, run_id).state == "cancelled"


def test_a_finished_run_refuses_changes(database: Database, settings: Settings) -> None:
    """What succeeded stays as it is."""
    run_id = make_run(database)
    end(database, claim(database, settings, run_id))
    for change in (request_cancel, requeue):
        with pytest.raises(WrongState):
            change(database, run_id)
    assert claim_run(database, settings, "host/0", run_id=run_id) is None
    assert runs.get_run(database, run_id).finished_at is not None


def test_deleting(database: Database, settings: Settings) -> None:
    """A deleted run is gone with all its rows; a running one refuses; no id is used again."""
    run_id = make_run(database)
    held = claim(database, settings, run_id)
    write_batch(database, held, points("train/loss", 1.0))
    with pytest.raises(WrongState, match="cancel it first"):
        delete_run(database, run_id)
    end(database, held)
    delete_run(database, run_id)
    assert runs.find_run(database, run_id) is None
    assert measurements.list_series(database, run_id) == ()
    with pytest.raises(RunNotFound, match=f"there is no run {run_id}"):
        delete_run(database, run_id)
    assert make_run(database) > run_id


def test_a_record_does_not_change_under_its_holder(database: Database, settings: Settings) -> None:
    """A record is a frozen snapshot."""
    run_id = make_run(database)
    before = runs.get_run(database, run_id)
    claim(database, settings, run_id)
    assert before.state == "queued"
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.state = "failed"  # type: ignore[misc]
    assert before.created_at.utcoffset() is not None


def test_curves_keep_their_summary(database: Database, settings: Settings) -> None:
    """Last, least, most and count follow the points, not-a-number included."""
    held = claim(database, settings, make_run(database))
    write_batch(database, held, points("train/loss", 3.0, 1.0))
    write_batch(database, held, points("train/loss", math.nan, 2.0, first=3))
    (summary,) = measurements.list_summaries(database, held.run_id)
    assert (summary.num_points, summary.last_step, summary.last_value) == (4, 4, 2.0)
    assert (summary.min_value, summary.max_value) == (1.0, 3.0)
    (series,) = measurements.list_series(database, held.run_id)
    assert series.steps == (1, 2, 3, 4)
    assert math.isnan(series.values[2])
    (rest,) = measurements.list_series(database, held.run_id, after_step=3)
    assert (rest.steps, rest.num_points) == ((4,), 4)
    assert measurements.list_series(database, held.run_id, keys=["other"]) == ()


def test_a_resumed_run_replaces_the_steps_it_does_again(
    database: Database, settings: Settings
) -> None:
    """After a resume from step 2 the older points from step 3 on are gone, summary included."""
    run_id = make_run(database)
    held = claim(database, settings, run_id)
    write_batch(database, held, points("train/loss", 9.0, 8.0, 70.0, 60.0, 50.0))
    give_back(database, held, outcome="returned")
    held = claim(database, settings, run_id)
    write_batch(database, held, points("train/loss", 7.0, first=3))
    write_batch(database, held, points("train/loss", 6.0, first=4))
    (series,) = measurements.list_series(database, run_id)
    assert series.values == (9.0, 8.0, 7.0, 6.0)
    (summary,) = measurements.list_summaries(database, run_id)
    assert (summary.num_points, summary.last_value, summary.max_value) == (4, 6.0, 9.0)


def test_long_curves_are_thinned_but_keep_their_peaks(
    database: Database, settings: Settings
) -> None:
    """At most 1000 points are handed out, the highest among them, and the full count is told."""
    held = claim(database, settings, make_run(database))
    values = [math.sin(step / 50) for step in range(3000)]
    values[1234] = 99.0
    write_batch(database, held, points("train/loss", *values))
    (series,) = measurements.list_series(database, held.run_id)
    assert len(series.steps) <= 1000
    assert series.num_points == 3000
    assert series.values[series.steps.index(1235)] == 99.0


def test_the_log_is_paged_and_filtered(database: Database, settings: Settings) -> None:
    """Lines come in order, page by id, and by least level."""
    held = claim(database, settings, make_run(database))
    lines = [Logged("info", "one"), Logged("warning", "two"), Logged("error", "three")]
    write_batch(database, held, Batch(lines=lines))
    found = logs.list_log_lines(database, held.run_id)
    assert [line.message for line in found] == ["one", "two", "three"]
    later_lines = logs.list_log_lines(database, held.run_id, after_id=found[0].id, limit=1)
    assert [line.message for line in later_lines] == ["two"]
    loud = logs.list_log_lines(database, held.run_id, level="warning")
    assert [line.level for line in loud] == ["warning", "error"]


def test_files_are_recorded_once_and_vanish_when_replaced(
    database: Database, settings: Settings
) -> None:
    """A path written again has one row with the new hash; replaced checkpoints are dropped."""
    held = claim(database, settings, make_run(database))
    for digest in ("a" * 64, "b" * 64):
        file = RecordedFile("checkpoint", "runs/1/attempt-1/c1", 10, digest)
        write_batch(database, held, Batch(files=[file]))
    assert [file.sha256 for file in list_files(database, held.run_id)] == ["b" * 64]
    newer = RecordedFile("checkpoint", "runs/1/attempt-1/c2", 10, "c" * 64)
    removed = ["runs/1/attempt-1/c1"]
    write_batch(database, held, Batch(files=[newer], removed_files=removed))
    assert [file.path for file in list_files(database, held.run_id)] == [newer.path]


def test_the_leaderboard_puts_baselines_first_with_their_scores(
    database: Database, settings: Settings
) -> None:
    """Each finished run stands beside the newest baseline of its own setting."""
    score = ScoreMeasured("text/x", "perplexity", 20.0, None, 10, "lower", limited=True)
    for values in ({}, {"preset": "baseline"}, {"evaluation": {"limit": 3}}):
        held = claim(database, settings, make_run(database, **values))
        write_batch(database, held, Batch(scores=[score]))
        end(database, held)
    make_run(database)
    rows = leaderboard.list_rows(database)
    assert [row.run.id for row in rows] == [2, 3, 1]
    assert [row.baseline_run_id for row in rows] == [2, None, 2]
    assert rows[2].baseline_scores["text/x|perplexity"].value == 20.0
    assert rows[1].baseline_scores == {}
    assert not rows[0].tuned
    assert runs.find_baseline(database, rows[0].run.baseline_key) == rows[0].run


@pytest.mark.parametrize("bits", [2.5, 2.25, 4])
def test_bits_come_back_as_they_were_asked(database: Database, bits: float) -> None:
    """A fraction of bits stays one, a whole number stays whole, asked or complete."""
    run = runs.get_run(database, make_run(database, quantizer={"bits": bits}))
    for kept in (run.spec["quantizer"]["bits"], run.asked["quantizer"]["bits"]):
        assert kept == bits
        assert type(kept) is type(bits)


def test_past_runs_tell_what_they_took(database: Database, settings: Settings) -> None:
    """Only finished runs of the same model on its last device are the basis of an estimate."""
    for device in ("cuda", "cpu", "cpu"):
        held = claim(database, settings, make_run(database))
        seen = {"peak_memory_bytes": 5, "seconds_by_stage": {"load": 1.0}}
        write_batch(database, held, Batch(run={"device": device, "resources": seen}))
        end(database, held)
    past = list_past_runs(database, "bundled:smollm2-135m-instruct")
    assert [(run.device, run.seconds_by_stage) for run in past] == [("cpu", {"load": 1.0})] * 2
    assert list_past_runs(database, "other") == ()


def test_runs_are_listed_newest_first_page_by_page(database: Database) -> None:
    """Pages follow the id; states and a search narrow them, whatever the search text holds."""
    first, second, third = (make_run(database, name) for name in ("alpha", "100%_beta", "gamma"))
    assert [run.id for run in runs.list_runs(database, limit=2)] == [third, second]
    assert [run.id for run in runs.list_runs(database, before_id=second)] == [first]
    assert [run.id for run in runs.list_runs(database, search="%_b")] == [second]
    assert [run.id for run in runs.list_runs(database, search="ALPHA")] == [first]
    assert len(runs.list_runs(database, search="smollm2")) == 3
    assert second in [run.id for run in runs.list_runs(database, search=str(second))]
    assert runs.list_runs(database, search="9" * 30) == ()
    assert runs.list_runs(database, states=["failed"]) == ()
    with pytest.raises(RunNotFound, match="there is no run 999"):
        runs.get_run(database, 999)


def test_hints_that_were_never_sent_are_known(database: Database) -> None:
    """A queued run without a hint is listed until one was sent."""
    run_id = make_run(database)
    assert list_unsent(database, Settings()) == (run_id,)
    mark_sent(database, [run_id])
    assert list_unsent(database, Settings()) == ()


def test_a_draft_saved_from_a_stale_revision_is_refused(database: Database) -> None:
    """Two tabs cannot overwrite each other unseen."""
    draft = drafts.create_draft(database, {"bits": 4})
    saved = drafts.save_draft(database, draft.id, {"bits": 3}, draft.revision)
    assert (saved.revision, saved.values) == (2, {"bits": 3})
    with pytest.raises(DraftConflict):
        drafts.save_draft(database, draft.id, {"bits": 2}, draft.revision)
    assert drafts.get_draft(database, draft.id) == saved
    for missing in (
        lambda: drafts.get_draft(database, 99),
        lambda: drafts.save_draft(database, 99, {}, 1),
    ):
        with pytest.raises(DraftNotFound):
            missing()
