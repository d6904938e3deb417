"""One attempt, carried out in this process by runners that do as told."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import Cancelled, OutOfMemory
from engine.events import FileWritten, Logged, MetricPoint, StageStarted
from engine.specs import QatTraining
from tasks.attempt import carry_out
from tasks.errors import Fenced
from tasks.lease import Claim, claim_run
from tasks.recovery import leave
from tasks.runners.context import RunContext
from tasks.store.files import find_checkpoint, list_files
from tasks.store.logs import list_log_lines
from tasks.store.measurements import list_series
from tasks.store.records import RunRecord
from tasks.store.run_changes import request_cancel
from tasks.store.runs import get_run
from tasks.submit import Desk
from tests.tasks.builders import QAT, make_run


def take(desk: Desk, run_id: int) -> Claim:
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    return claim


def carry(desk: Desk, run_id: int, runner: Callable[[RunContext], None]) -> RunRecord:
    carry_out(desk, take(desk, run_id), {"experiment": runner})
    return get_run(desk.database, run_id)


def fail(error: BaseException) -> Callable[[RunContext], None]:
    def runner(context: RunContext) -> None:
        raise error

    return runner


def test_a_failure_is_stored_with_sentence_and_traceback(desk: Desk) -> None:
    """A run that fails says why, in the run and in its log, and the queue goes on."""
    run = carry(desk, make_run(desk.database), fail(ValueError("no luck")))
    assert (run.state, run.failure_kind) == ("failed", "bug")
    assert run.failure_message == "something went wrong inside Bitdial: ValueError: no luck"
    assert run.failure_traceback is not None
    assert "Traceback" in run.failure_traceback
    assert list_log_lines(desk.database, run.id)[-1].level == "error"


def test_too_little_memory_is_met_with_half_the_microbatch(desk: Desk) -> None:
    """Out of memory queues the run again with the same batch in smaller parts, until one window."""
    seen = []

    def runner(context: RunContext) -> None:
        training = context.spec.training
        assert isinstance(training, QatTraining)
        seen.append((training.per_device_train_batch_size, training.gradient_accumulation_steps))
        raise OutOfMemory

    run_id = make_run(desk.database, **QAT)
    states = [carry(desk, run_id, runner).state for _ in range(3)]
    run = get_run(desk.database, run_id)
    assert seen == [(4, 1), (2, 2), (1, 4)]
    assert states == ["queued", "queued", "failed"]
    assert (run.failure_kind, run.microbatch_halvings) == ("out_of_memory", 2)
    messages = [line.message for line in list_log_lines(desk.database, run_id)]
    assert any("half the microbatch" in message for message in messages)


def test_a_cancel_is_seen_within_a_step(desk: Desk) -> None:
    """The first event written after a cancel stops the run."""
    steps = []

    def runner(context: RunContext) -> None:
        for step in range(1, 100):
            steps.append(step)
            if step == 3:
                request_cancel(desk.database, run_id)
            context.listener(StageStarted(f"stage {step}"))

    run_id = make_run(desk.database)
    assert carry(desk, run_id, runner).state == "cancelled"
    assert steps == [1, 2, 3]


def test_an_interrupted_run_goes_back_to_the_queue(desk: Desk) -> None:
    """A termination is no failure: the run is queued, or cancelled where that was asked."""
    run_id = make_run(desk.database)
    assert carry(desk, run_id, fail(KeyboardInterrupt())).state == "queued"

    def runner(context: RunContext) -> None:
        request_cancel(desk.database, run_id)
        raise KeyboardInterrupt

    assert carry(desk, run_id, runner).state == "cancelled"


def test_an_attempt_that_lost_its_run_writes_nothing(desk: Desk) -> None:
    """A late attempt is stopped by its next write, and its end is not recorded."""

    def runner(context: RunContext) -> None:
        leave(desk.database, desk.settings, "host/0")
        context.listener(StageStarted("train"))

    run_id = make_run(desk.database)
    with pytest.raises(Fenced):
        carry(desk, run_id, runner)
    assert get_run(desk.database, run_id).state == "queued"


def test_the_next_attempt_is_handed_the_newest_checkpoint(desk: Desk) -> None:
    """Checkpoints are recorded with size and hash; one that vanished is not handed over."""
    resumed: list[Path | None] = []

    def runner(context: RunContext) -> None:
        resumed.append(context.resume_from)
        for name in ("c1", "c2"):
            (context.folder / name).mkdir()
            (context.folder / name / "weights").write_bytes(b"12345")
            context.listener(FileWritten("checkpoint", name))
        raise KeyboardInterrupt

    run_id = make_run(desk.database)
    carry(desk, run_id, runner)
    carry(desk, run_id, runner)
    first = desk.settings.attempt_folder(run_id, 1)
    assert resumed == [None, first / "c2"]
    records = list_files(desk.database, run_id)
    assert {record.size_bytes for record in records} == {5}
    assert len({record.sha256 for record in records}) == 1
    second = desk.settings.attempt_folder(run_id, 2)
    (second / "c2" / "weights").unlink()
    (second / "c2").rmdir()
    found = find_checkpoint(desk.database, run_id, data_folder=desk.settings.data_folder)
    assert found == second / "c1"


def test_logging_and_warnings_become_lines(desk: Desk) -> None:
    """What libraries warn of and our own modules tell is in the run's log; chatter is not."""

    def runner(context: RunContext) -> None:
        logging.getLogger("engine.models").info("ours %s", "told")
        logging.getLogger("other").info("chatter")
        logging.getLogger("other").warning("careful")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old ways", FutureWarning, stacklevel=1)
        context.listener(Logged("debug", "zero\0byte"))

    run = carry(desk, make_run(desk.database), runner)
    lines = list_log_lines(desk.database, run.id)
    text = "\n".join(line.message for line in lines)
    assert "ours told" in text
    assert "careful" in text
    assert "old ways" in text
    assert "chatter" not in text
    assert "zero\N{REPLACEMENT CHARACTER}byte" in text


def test_points_are_written_in_batches_and_none_is_lost(desk: Desk) -> None:
    """A thousand points take few writes, and all of them are there at the end."""

    def runner(context: RunContext) -> None:
        for step in range(1000):
            context.listener(MetricPoint("train/loss", step, float(step)))

    run = carry(desk, make_run(desk.database), runner)
    assert run.state == "succeeded"
    assert list_series(desk.database, run.id)[0].num_points == 1000


def test_a_cancel_raised_by_the_engine_is_a_cancel(desk: Desk) -> None:
    """Wherever the run stops for a cancel, its end is cancelled, not failed."""
    assert carry(desk, make_run(desk.database), fail(Cancelled())).state == "cancelled"
