"""A run carried out without a worker."""

from __future__ import annotations

import threading

from tasks.foreground import work_off
from tasks.lease import claim_next
from tasks.submit import Desk
from tests.tasks.builders import make_run


def test_the_named_run_is_carried_out_and_no_other(desk: Desk) -> None:
    """Whatever else is queued stays queued."""
    other = make_run(desk.database)
    run_id = make_run(desk.database, "steps=2")
    leaving = threading.Event()
    run = work_off(desk, run_id, leaving=leaving, module="tests.tasks.fake_attempt")
    assert (run.id, run.state) == (run_id, "succeeded")
    left = claim_next(desk.database, desk.settings, "host/0")
    assert left is not None
    assert left.run_id == other
