"""What people change about runs: create, cancel, retry, delete; each one short transaction.

What workers change is in `tasks.lease` and `recording`. Every change is an UPDATE that names the
states it may come from, so two people or a worker at the same moment cannot undo each other.
Start with `create_runs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from tasks.errors import RunNotFound, WrongState
from tasks.states import DELETABLE
from tasks.store.clock import now
from tasks.store.database import Database, lock_name
from tasks.store.records import RunKind, RunState
from tasks.store.tables import Attempt, Run

CLEARED_FAILURE = {"failure_kind": None, "failure_message": None, "failure_traceback": None}


@dataclass(frozen=True)
class NewRun:
    """A run to be queued; fields as in `RunRecord`."""

    name: str
    spec: dict[str, Any]
    asked: dict[str, Any]
    preset: str | None
    baseline_key: str
    is_baseline: bool
    queue: str
    kind: RunKind = "experiment"
    priority: int = 0
    parent_id: int | None = None
    estimate: dict[str, Any] | None = None


def create_run(database: Database, new: NewRun, *, baseline: NewRun | None = None) -> list[int]:
    """Queue a run, before it the baseline where none of its setting is queued, running or done.

    Returns:
        The ids that were made; the run's is the last.

    Raises:
        RunNotFound: When it builds on a run that is not there.
    """
    with database.writing() as session:
        return add_runs(session, new, baseline)


def add_runs(session: Session, new: NewRun, baseline: NewRun | None) -> list[int]:
    """Do what `create_run` does, within the caller's writing transaction."""
    created = []
    if new.parent_id is not None:
        _lock(session, new.parent_id)
    if baseline is not None:
        lock_name(session, f"bitdial.baseline.{baseline.baseline_key}")
        if not _has_baseline(session, baseline.baseline_key):
            created.append(_insert(session, baseline))
    created.append(_insert(session, new))
    return created


def request_cancel(database: Database, run_id: int) -> RunState:
    """Cancel a queued run at once, or ask a running one to stop.

    Returns:
        The state afterwards: "cancelled", or "running" until the worker has stopped.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it has ended already.
    """
    with database.writing() as session:
        if _change(session, run_id, ("queued",), state="cancelled", finished_at=now()):
            return "cancelled"
        if _change(session, run_id, ("running",), control="cancel"):
            return "running"
        state = _get_state(session, run_id)
        raise WrongState(f"run {run_id} is {state}; only queued and running runs can be cancelled")


def requeue(database: Database, run_id: int) -> None:
    """Queue a failed or cancelled run again; it goes on from its last checkpoint.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it is in another state, or builds on a run that was deleted.
    """
    with database.writing() as session:
        _refuse_orphan(session, run_id)
        changed = _change(
            session,
            run_id,
            ("failed", "cancelled"),
            state="queued",
            queued_at=now(),
            sent_at=None,
            started_at=None,
            finished_at=None,
            control=None,
            num_lost=0,
            eta_seconds=None,
            **CLEARED_FAILURE,
        )
        if not changed:
            state = _get_state(session, run_id)
            raise WrongState(
                f"run {run_id} is {state}; only failed and cancelled runs can be retried"
            )


def delete_run(database: Database, run_id: int) -> None:
    """Remove a run and every row that hangs on it; its files are the caller's.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it is running, or runs that build on it wait for its files.
    """
    with database.writing() as session:
        _lock(session, run_id)
        _refuse_needed(session, run_id)
        removed = session.execute(
            delete(Run).where(Run.id == run_id, Run.state.in_(DELETABLE)).returning(Run.id)
        ).first()
        if removed is None:
            raise WrongState(f"run {run_id} is running; cancel it first")


def mark_sent(database: Database, run_ids: Sequence[int]) -> None:
    """Note that hints for these queued runs went to the broker."""
    with database.writing() as session:
        session.execute(
            update(Run).where(Run.id.in_(run_ids), Run.state == "queued").values(sent_at=now())
        )


def owned(run_id: int, attempt: int) -> tuple[Any, ...]:
    """Return the conditions under which an attempt may write: the fence."""
    return (Run.id == run_id, Run.attempt == attempt, Run.state == "running")


def end_attempt(session: Session, run_id: int, attempt: int, outcome: str) -> None:
    """Close the row of an attempt; within the caller's transaction."""
    session.execute(
        update(Attempt)
        .where(Attempt.run_id == run_id, Attempt.number == attempt, Attempt.ended_at.is_(None))
        .values(ended_at=now(), outcome=outcome)
    )


def _insert(session: Session, new: NewRun) -> int:
    row = Run(
        name=new.name,
        kind=new.kind,
        state="queued",
        priority=new.priority,
        queue=new.queue,
        preset=new.preset,
        spec=new.spec,
        asked=new.asked,
        baseline_key=new.baseline_key,
        is_baseline=new.is_baseline,
        parent_id=new.parent_id,
        estimate=new.estimate,
        queued_at=now(),
    )
    session.add(row)
    session.flush()
    return row.id


def _lock(session: Session, run_id: int) -> None:
    """Keep a run as it is until this transaction ends."""
    if session.scalar(select(Run.id).where(Run.id == run_id).with_for_update()) is None:
        raise RunNotFound(f"there is no run {run_id}")


def _refuse_needed(session: Session, run_id: int) -> None:
    """Refuse to take away files that other runs are about to read."""
    waiting = session.scalars(
        select(Run.id)
        .where(Run.parent_id == run_id, Run.state.in_(("queued", "running")))
        .order_by(Run.id)
    ).all()
    if waiting:
        names = ", ".join(map(str, waiting))
        raise WrongState(f"run {run_id} is needed by unfinished runs ({names}); cancel them first")


def _refuse_orphan(session: Session, run_id: int) -> None:
    run = session.get(Run, run_id)
    if run is None or run.kind == "experiment" or run.parent_id is not None:
        return
    if run.kind != "sensitivity" or run.spec.get("parent") is not None:
        raise WrongState(
            f"run {run_id} builds on run {run.spec.get('parent')}, which was deleted; "
            "it cannot be carried out again"
        )


def _has_baseline(session: Session, baseline_key: str) -> bool:
    found = session.scalar(
        select(func.count())
        .select_from(Run)
        .where(
            Run.baseline_key == baseline_key,
            Run.is_baseline,
            Run.state.in_(("queued", "running", "succeeded")),
        )
    )
    return bool(found)


def _change(session: Session, run_id: int, sources: tuple[RunState, ...], **values: Any) -> bool:
    changed = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.state.in_(sources))
        .values(**values)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )
    return changed.first() is not None


def _get_state(session: Session, run_id: int) -> str:
    state = session.scalar(select(Run.state).where(Run.id == run_id))
    if state is None:
        raise RunNotFound(f"there is no run {run_id}")
    return state
