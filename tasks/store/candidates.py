"""Configurations of ranks that searches evaluated: written by `recording`, read by pages.

A configuration has one row per search, whichever attempt evaluated it. Start with
`list_candidates`; `list_known` is what spares a search the work of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from engine.events import CandidateEvaluated
from tasks.store.database import Database
from tasks.store.records import CandidateRecord
from tasks.store.tables import Candidate, Run

_SAME_WHATEVER = frozenset({"batch_size"})


def list_candidates(database: Database, run_id: int) -> tuple[CandidateRecord, ...]:
    """Return what a search evaluated, in the order of evaluation."""
    query = select(Candidate).where(Candidate.run_id == run_id).order_by(Candidate.position)
    with database.reading() as session:
        return tuple(_to_record(row) for row in session.scalars(query))


def list_known(
    database: Database, parent_id: int, objective: Mapping[str, Any]
) -> tuple[CandidateRecord, ...]:
    """Return what any search on a training run found out about the same objective.

    Args:
        database: The store.
        parent_id: The training run whose adapters are searched.
        objective: The objective as in a search's spec; how many examples are computed at once
            changes no score and is not compared.

    Returns:
        One row per configuration, the oldest.
    """
    with database.reading() as session:
        searches = _find_searches(session, parent_id, objective)
        query = select(Candidate).where(Candidate.run_id.in_(searches))
        rows = session.scalars(query.order_by(Candidate.run_id, Candidate.position))
        found: dict[tuple[int, ...], CandidateRecord] = {}
        for row in rows:
            found.setdefault(tuple(row.ranks), _to_record(row))
    return tuple(found.values())


def add_candidates(session: Session, run_id: int, candidates: Sequence[CandidateEvaluated]) -> None:
    """Append what a search evaluated; a configuration it has already is left as it was."""
    for candidate in candidates:
        mine = select(Candidate.ranks).where(
            Candidate.run_id == run_id,
            Candidate.adapter_parameters == candidate.adapter_parameters,
        )
        ranks = list(candidate.ranks)
        if ranks in session.scalars(mine).all():
            continue
        position = session.scalar(
            select(func.count()).select_from(Candidate).where(Candidate.run_id == run_id)
        )
        row = {"run_id": run_id, "position": position, **vars(candidate), "ranks": ranks}
        session.execute(insert(Candidate), [row])


def _find_searches(session: Session, parent_id: int, objective: Mapping[str, Any]) -> list[int]:
    query = select(Run.id, Run.spec).where(Run.parent_id == parent_id, Run.kind == "search")
    wanted = _comparable(objective)
    return [
        run_id
        for run_id, spec in session.execute(query)
        if _comparable(spec.get("objective", {})) == wanted
    ]


def _comparable(objective: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in objective.items() if key not in _SAME_WHATEVER}


def _to_record(row: Candidate) -> CandidateRecord:
    return CandidateRecord(
        run_id=row.run_id,
        position=row.position,
        ranks=tuple(row.ranks),
        adapter_parameters=row.adapter_parameters,
        metric=row.metric,
        value=row.value,
        standard_error=row.standard_error,
        num_samples=row.num_samples,
        direction="higher" if row.direction == "higher" else "lower",
        origin=row.origin,
        seconds=row.seconds,
    )
