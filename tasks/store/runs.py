"""Reading runs, their attempts and stages. Changes are in `run_changes`. Start with `list_runs`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from tasks.errors import RunNotFound
from tasks.store.database import Database
from tasks.store.records import (
    AttemptRecord,
    RunRecord,
    RunState,
    StageRecord,
    to_record,
)
from tasks.store.run_changes import delete_run
from tasks.store.tables import Attempt, Run, Stage


def find_run(database: Database, run_id: int) -> RunRecord | None:
    """Return the run, or None."""
    with database.reading() as session:
        row = session.get(Run, run_id)
        return to_record(RunRecord, row) if row else None


def get_run(database: Database, run_id: int) -> RunRecord:
    """Return the run.

    Raises:
        RunNotFound: When there is none with this id.
    """
    run = find_run(database, run_id)
    if run is None:
        raise RunNotFound(f"there is no run {run_id}")
    return run


def list_runs(
    database: Database,
    *,
    states: Iterable[RunState] | None = None,
    before_id: int | None = None,
    limit: int = 50,
    search: str = "",
) -> tuple[RunRecord, ...]:
    """Return runs, newest first; page by passing the last id seen as `before_id`.

    Only runs in one of `states` (None for all), and only those whose name or model holds the text
    of `search`, or whose id it is.
    """
    query = select(Run).order_by(Run.id.desc()).limit(limit)
    if states is not None:
        query = query.where(Run.state.in_(tuple(states)))
    if before_id is not None:
        query = query.where(Run.id < before_id)
    if search.strip():
        query = _matching(query, search.strip())
    with database.reading() as session:
        return tuple(to_record(RunRecord, row) for row in session.scalars(query))


def list_children(database: Database, run_id: int) -> tuple[RunRecord, ...]:
    """Return the runs that build on this one, oldest first."""
    query = select(Run).where(Run.parent_id == run_id).order_by(Run.id)
    with database.reading() as session:
        return tuple(to_record(RunRecord, row) for row in session.scalars(query))


def count_by_state(database: Database) -> dict[RunState, int]:
    """Return how many runs there are in each state; states without runs are left out."""
    query = select(Run.state, func.count()).group_by(Run.state)
    with database.reading() as session:
        return {cast("RunState", state): count for state, count in session.execute(query)}


def list_attempts(database: Database, run_id: int) -> tuple[AttemptRecord, ...]:
    """Return the attempts of a run, oldest first."""
    query = select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number)
    with database.reading() as session:
        return tuple(to_record(AttemptRecord, row) for row in session.scalars(query))


def list_stages(database: Database, run_id: int) -> tuple[StageRecord, ...]:
    """Return the stages of a run's newest attempt, in order."""
    newest = select(func.max(Stage.attempt)).where(Stage.run_id == run_id).scalar_subquery()
    query = (
        select(Stage)
        .where(Stage.run_id == run_id, Stage.attempt == newest)
        .order_by(Stage.position)
    )
    with database.reading() as session:
        return tuple(to_record(StageRecord, row) for row in session.scalars(query))


def find_queue_position(database: Database, run_id: int) -> int | None:
    """Return how many queued runs of its queue go before this one; None where it is not queued."""
    with database.reading() as session:
        run = session.get(Run, run_id)
        if run is None or run.state != "queued":
            return None
        return sum(1 for _ in _iter_before(session, run))


def find_baseline(database: Database, baseline_key: str) -> RunRecord | None:
    """Return the newest succeeded baseline of a setting, or None."""
    query = (
        select(Run)
        .where(Run.baseline_key == baseline_key, Run.is_baseline, Run.state == "succeeded")
        .order_by(Run.id.desc())
        .limit(1)
    )
    with database.reading() as session:
        row = session.scalars(query).first()
        return to_record(RunRecord, row) if row else None


def _iter_before(session: Session, run: Run) -> Iterable[int]:
    queued = select(Run.id, Run.priority, Run.queued_at).where(
        Run.state == "queued", Run.queue == run.queue, Run.id != run.id
    )
    mine = (-run.priority, run.queued_at, run.id)
    for other, priority, queued_at in session.execute(queued):
        if (-priority, queued_at, other) < mine:
            yield other


def _matching(query: Select[Any], search: str) -> Select[Any]:
    found = Run.name.icontains(search, autoescape=True)
    found |= Run.spec["model"]["source"].as_string().icontains(search, autoescape=True)
    if search.isdecimal() and len(search) < 10:
        found |= Run.id == int(search)
    return query.where(found)


__all__ = [
    "count_by_state",
    "delete_run",
    "find_baseline",
    "find_queue_position",
    "find_run",
    "get_run",
    "list_attempts",
    "list_children",
    "list_runs",
    "list_stages",
]
