"""Claims and heartbeats: who may work on a run, for how long, by the database's time.

A claim is one atomic UPDATE that raises the attempt number. The number fences: every later write
of the attempt names it, and one that changes no row means that the run belongs to somebody else.
Start with `claim_next`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy import ScalarSelect, func, select, update

from tasks.settings import Settings
from tasks.store.clock import later, now
from tasks.store.database import Database
from tasks.store.records import Control
from tasks.store.run_changes import CLEARED_FAILURE, end_attempt, owned
from tasks.store.tables import Attempt, Run


@dataclass(frozen=True)
class Claim:
    """The right to work on a run until the lease ends; `attempt` is the fencing token."""

    run_id: int
    attempt: int
    owner: str


@dataclass(frozen=True)
class Pulse:
    """What a renewed lease found: whether somebody asked the run to stop."""

    control: Control | None


def claim_next(database: Database, settings: Settings, owner: str) -> Claim | None:
    """Claim the queued run of this queue with the highest priority, the oldest among equals."""
    first = (
        select(Run.id)
        .where(Run.state == "queued", Run.queue == settings.queue)
        .order_by(Run.priority.desc(), Run.queued_at, Run.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return _claim(database, settings, owner, chosen=first)


def claim_run(database: Database, settings: Settings, owner: str, *, run_id: int) -> Claim | None:
    """Claim this run, whatever its queue and priority; None where it is not queued."""
    return _claim(database, settings, owner, chosen=run_id)


def renew(database: Database, settings: Settings, claim: Claim) -> Pulse | None:
    """Prolong the lease; None where the attempt no longer owns the run."""
    with database.writing() as session:
        row = session.execute(
            update(Run)
            .where(*owned(claim.run_id, claim.attempt))
            .values(lease_until=later(settings.lease_seconds))
            .returning(Run.control)
            .execution_options(synchronize_session=False)
        ).first()
    return Pulse(cast("Control | None", row[0])) if row else None


def find_pulse(database: Database, claim: Claim) -> Pulse | None:
    """Read what `renew` reads, without prolonging."""
    with database.reading() as session:
        row = session.execute(
            select(Run.control).where(*owned(claim.run_id, claim.attempt))
        ).first()
    return Pulse(cast("Control | None", row[0])) if row else None


def give_back(database: Database, claim: Claim, *, outcome: str) -> bool:
    """Queue a run again that its attempt leaves unfinished; False where it is not its own."""
    with database.writing() as session:
        row = session.execute(
            update(Run)
            .where(*owned(claim.run_id, claim.attempt))
            .values(state="queued", owner=None, lease_until=None, sent_at=None, eta_seconds=None)
            .returning(Run.id)
            .execution_options(synchronize_session=False)
        ).first()
        if row:
            end_attempt(session, claim.run_id, claim.attempt, outcome)
    return row is not None


def _claim(
    database: Database, settings: Settings, owner: str, *, chosen: ScalarSelect[int] | int
) -> Claim | None:
    with database.writing() as session:
        row = session.execute(
            update(Run)
            .where(Run.id == chosen, Run.state == "queued")
            .values(
                state="running",
                attempt=Run.attempt + 1,
                owner=owner,
                queue=settings.queue,
                lease_until=later(settings.lease_seconds),
                started_at=func.coalesce(Run.started_at, now()),
                stage=None,
                progress_done=0,
                progress_total=None,
                **CLEARED_FAILURE,
            )
            .returning(Run.id, Run.attempt)
            .execution_options(synchronize_session=False)
        ).first()
        if row is None:
            return None
        session.add(Attempt(run_id=row[0], number=row[1], owner=owner))
    return Claim(row[0], row[1], owner)
