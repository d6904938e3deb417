"""Bringing back what was lost: runs whose lease ended, and hints that went astray.

Any number of processes may do this at any time; every change is conditional, so each run is brought
back once. Start with `patrol`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from tasks.lease import Claim
from tasks.settings import Settings
from tasks.store.clock import later, now
from tasks.store.database import Database
from tasks.store.run_changes import end_attempt, mark_sent, owned
from tasks.store.tables import Run
from tasks.wake import send_hints

logger = logging.getLogger(__name__)

LOST = "lost"
RETURNED = "returned"
MAX_HINTS = 50
ENDED: dict[str, Any] = {"owner": None, "lease_until": None, "eta_seconds": None}


def patrol(database: Database, settings: Settings) -> bool:
    """Bring back lost runs and send hints that were never sent.

    Returns:
        Whether a queued run waits to which no hint will lead: an idle worker should look by itself.
    """
    reap(database, settings)
    unsent = list_unsent(database, settings)
    if unsent:
        if not send_hints(settings, unsent):
            return True
        mark_sent(database, unsent)
    return has_overdue(database, settings)


def reap(database: Database, settings: Settings) -> tuple[int, ...]:
    """Queue runs again whose lease has ended, or end them; return their ids."""
    expired = (Run.state == "running", Run.lease_until < now())
    return _bring_back(database, settings, expired, why="its worker fell silent")


def reap_owner(database: Database, settings: Settings, owner: str) -> tuple[int, ...]:
    """Do so at once for the runs of a worker that is known to be dead."""
    mine = (Run.state == "running", Run.owner == owner)
    return _bring_back(database, settings, mine, why="its worker was ended abruptly")


def leave(database: Database, settings: Settings, owner: str) -> tuple[int, ...]:
    """Queue the runs again of a worker that shuts down in order; they do not count as lost."""
    mine = (Run.state == "running", Run.owner == owner)
    return _bring_back(database, settings, mine, why="its worker was shut down", losses=0)


def report_death(
    database: Database, settings: Settings, claim: Claim, *, why: str, traceback: str | None
) -> None:
    """Queue a run again whose attempt died without a word, or end it after too many."""
    mine = owned(claim.run_id, claim.attempt)
    _bring_back(database, settings, mine, why=why, traceback=traceback)


def list_unsent(database: Database, settings: Settings) -> tuple[int, ...]:
    """Return queued runs of this queue for which no hint went to the broker."""
    query = (
        select(Run.id)
        .where(Run.state == "queued", Run.queue == settings.queue, Run.sent_at.is_(None))
        .order_by(Run.priority.desc(), Run.queued_at, Run.id)
        .limit(MAX_HINTS)
    )
    with database.reading() as session:
        return tuple(session.scalars(query))


def has_overdue(database: Database, settings: Settings) -> bool:
    """Whether a run of this queue still waits long after its hint was sent."""
    query = (
        select(Run.id)
        .where(
            Run.state == "queued",
            Run.queue == settings.queue,
            Run.sent_at < later(-settings.hint_seconds),
        )
        .limit(1)
    )
    with database.reading() as session:
        return session.scalar(query) is not None


def _bring_back(
    database: Database,
    settings: Settings,
    which: Sequence[ColumnElement[bool]],
    *,
    why: str,
    traceback: str | None = None,
    losses: int = 1,
) -> tuple[int, ...]:
    """Cancel those that should stop, fail those lost too often, queue the rest."""
    times = settings.max_attempts
    outcome = LOST if losses else RETURNED
    cancelled = {"state": "cancelled", "finished_at": now(), "control": None, **ENDED}
    failed = {
        "state": "failed",
        "finished_at": now(),
        "failure_kind": LOST,
        "failure_message": f"the run was lost {times} times; the last time {why}"
        if times > 1
        else f"the run was lost: {why}",
        "failure_traceback": traceback,
        **ENDED,
    }
    queued = {"state": "queued", "sent_at": None, "num_lost": Run.num_lost + losses, **ENDED}
    with database.writing() as session:
        found = [
            *_move(session, which, (Run.control == "cancel",), values=cancelled),
            *_move(session, which, (Run.num_lost + losses >= times,), values=failed),
            *_move(session, which, (), values=queued),
        ]
        for run_id, attempt in found:
            end_attempt(session, run_id, attempt, outcome)
    for run_id, attempt in found:
        logger.warning("attempt %d of run %d was %s: %s", attempt, run_id, outcome, why)
    return tuple(run_id for run_id, _ in found)


def _move(
    session: Session,
    which: Sequence[ColumnElement[bool]],
    only: Sequence[ColumnElement[bool]],
    *,
    values: dict[str, Any],
) -> list[tuple[int, int]]:
    moved = session.execute(
        update(Run)
        .where(*which, *only)
        .values(**values)
        .returning(Run.id, Run.attempt)
        .execution_options(synchronize_session=False)
    )
    return [(run_id, attempt) for run_id, attempt in moved]
