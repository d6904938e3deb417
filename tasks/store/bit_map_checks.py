"""Runs that measure bit maps, and what was predicted of them. Start with `list_checks`.

What a run measured is read from its scores each time, so that nothing has to be written when it
ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import cast

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from tasks.store.bit_map_records import CheckRecord, NewCheck
from tasks.store.bit_map_tables import BitMap, BitMapCheck
from tasks.store.clock import later
from tasks.store.database import Database
from tasks.store.records import RunState
from tasks.store.tables import Run, Score

TEXT = "perplexity/"
"""How the name of a benchmark begins that is measured on running text."""
PERPLEXITY = "perplexity"
NEWS_SECONDS = 30
_OWN = tuple(each.name for each in fields(NewCheck))


def add_check(database: Database, map_id: int, run_id: int, new: NewCheck) -> None:
    """Note that a run measures a map."""
    values = {name: getattr(new, name) for name in _OWN}
    with database.writing() as session:
        session.add(BitMapCheck(map_id=map_id, run_id=run_id, **values))


def list_checks(database: Database, map_id: int) -> tuple[CheckRecord, ...]:
    """Return the checks of a map, oldest first, with what their runs have measured so far."""
    query = select(BitMapCheck, Run.state, Run.baseline_key).join(Run, Run.id == BitMapCheck.run_id)
    with database.reading() as session:
        return _read(session, query.where(BitMapCheck.map_id == map_id))


def has_news(database: Database, map_id: int) -> bool:
    """Whether a check of a map is under way, or ended within the last half minute."""
    query = (
        select(BitMapCheck.run_id)
        .join(Run, Run.id == BitMapCheck.run_id)
        .where(
            BitMapCheck.map_id == map_id,
            Run.state.in_(("queued", "running")) | (Run.finished_at > later(-NEWS_SECONDS)),
        )
        .limit(1)
    )
    with database.reading() as session:
        return session.scalars(query).first() is not None


def list_measured(
    database: Database, *, sensitivity_run_id: int, metric: str
) -> tuple[CheckRecord, ...]:
    """Return the finished checks of every map with these scores, oldest first."""
    query = (
        select(BitMapCheck, Run.state, Run.baseline_key)
        .join(Run, Run.id == BitMapCheck.run_id)
        .join(BitMap, BitMap.id == BitMapCheck.map_id)
        .where(
            BitMap.sensitivity_run_id == sensitivity_run_id,
            BitMapCheck.metric == metric,
            Run.state == "succeeded",
        )
    )
    with database.reading() as session:
        return _read(session, query)


def _read(session: Session, query: Select[BitMapCheck, str, str]) -> tuple[CheckRecord, ...]:
    rows = session.execute(query.order_by(BitMapCheck.run_id)).all()
    if not rows:
        return ()
    scores = _read_scores(session, [check.run_id for check, *_ in rows])
    baselines = _read_baselines(session, {key for *_, key in rows})
    return tuple(
        CheckRecord(
            **{name: getattr(check, name) for name in _OWN},
            map_id=check.map_id,
            run_id=check.run_id,
            state=cast("RunState", state),
            scores=scores.get(check.run_id, {}),
            baseline=baselines.get(key),
        )
        for check, state, key in rows
    )


def _read_scores(
    session: Session, run_ids: Iterable[int]
) -> dict[int, dict[str, tuple[float, float | None]]]:
    """Return value and error by run and metric, of what was measured on running text."""
    query = select(Score.run_id, Score.metric, Score.value, Score.standard_error).where(
        Score.run_id.in_(tuple(run_ids)),
        Score.phase == "final",
        Score.benchmark.startswith(TEXT, autoescape=True),
    )
    found: dict[int, dict[str, tuple[float, float | None]]] = {}
    for run_id, metric, value, error in session.execute(query):
        found.setdefault(run_id, {})[metric] = (value, error)
    return found


def _read_baselines(session: Session, keys: Iterable[str]) -> dict[str, tuple[float, float | None]]:
    """Return the perplexity of the newest 16-bit run of each setting, with its error."""
    query = (
        select(Run.baseline_key, Score.value, Score.standard_error)
        .join(Score, Score.run_id == Run.id)
        .where(
            Run.baseline_key.in_(tuple(keys)),
            Run.is_baseline,
            Run.state == "succeeded",
            Score.phase == "final",
            Score.metric == PERPLEXITY,
            Score.benchmark.startswith(TEXT, autoescape=True),
        )
        .order_by(Run.id)
    )
    return {key: (value, error) for key, value, error in session.execute(query)}
