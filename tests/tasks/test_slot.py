"""Slots: one worker each, one run at a time."""

from __future__ import annotations

import threading

import pytest

from tasks.errors import SlotTaken
from tasks.settings import Settings
from tasks.slot import holding_slot, make_owner, work
from tasks.store.runs import get_run, list_attempts
from tasks.submit import Desk
from tests.tasks.builders import make_run

MODULE = "tests.tasks.fake_attempt"


def test_a_slot_is_held_by_one_worker(settings: Settings) -> None:
    """The next worker gets the next slot; asking for a taken one is a sentence."""
    with holding_slot(settings, None) as first:
        assert first == make_owner(0)
        with holding_slot(settings, None) as second:
            assert second == make_owner(1)
        with pytest.raises(SlotTaken, match="slot 0 of this machine"), holding_slot(settings, 0):
            pass
    with holding_slot(settings, 0) as again:
        assert again == first


def test_a_slot_works_until_nothing_is_queued(desk: Desk) -> None:
    """Failing runs keep none of the others from being carried out."""
    names = ("diverge", "full disk", "unfit", "steps=1")
    run_ids = [make_run(desk.database, name) for name in names]
    work(desk, "host/0", module=MODULE, leaving=threading.Event())
    found = [get_run(desk.database, run_id) for run_id in run_ids]
    assert [run.state for run in found] == ["failed", "failed", "succeeded", "succeeded"]
    assert [run.failure_kind for run in found] == ["diverged", "data", None, None]
    assert (found[2].microbatch_halvings, found[2].attempt) == (2, 3)


def test_a_run_that_always_dies_ends_with_a_sentence(desk: Desk) -> None:
    """A process that is killed each time is tried max_attempts times, then said to be lost."""
    run_id = make_run(desk.database, "suicide")
    work(desk, "host/0", module=MODULE, leaving=threading.Event())
    run = get_run(desk.database, run_id)
    assert (run.state, run.failure_kind, run.attempt) == ("failed", "lost", 3)
    assert run.failure_message is not None
    assert "was killed by the operating system, most often for too little memory" in (
        run.failure_message
    )
    assert {one.outcome for one in list_attempts(desk.database, run_id)} == {"lost"}


def test_a_process_that_cannot_work_is_told_with_its_output(desk: Desk) -> None:
    """A module that ends at once leaves its last words as the traceback."""
    run_id = make_run(desk.database)
    work(desk, "host/0", module="no_such_module", leaving=threading.Event())
    run = get_run(desk.database, run_id)
    assert run.failure_message is not None
    assert "its process ended with code 1 and without a result" in run.failure_message
    assert "no_such_module" in (run.failure_traceback or "")
