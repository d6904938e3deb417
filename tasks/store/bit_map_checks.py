"""Runs that measure bit maps, and what was predicted of them. Start with `queue_check`.

What a run measured is read from its scores each time, so that nothing has to be written when it
ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, cast

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from engine.events import TEXT_BENCHMARK
from tasks.store.bit_map_records import CheckRecord, NewCheck
from tasks.store.bit_map_tables import BitMap, BitMapCheck
from tasks.store.bit_maps import keep_run, lock_map
from tasks.store.clock import later
from tasks.store.database import Database
from tasks.store.records import RunState
from tasks.store.run_changes import NewRun, add_runs
from tasks.store.tables import Run, Score

PERPLEXITY = "perplexity"
NEWS_SECONDS = 30
STANDING = ("queued", "running", "succeeded")
"""States of a run in which its map need not be measured again; see `_has_measured`."""
_OWN = tuple(each.name for each in fields(NewCheck))


@dataclass(frozen=True)
class Queued:
    """The run that measures a map, and every run that was queued for it just now."""

    run_id: int
    created: tuple[int, ...]


def queue_check(
    database: Database, map_id: int, new: NewCheck, run: NewRun, *, baseline: NewRun | None
) -> Queued:
    """Queue the run that measures a map, unless one measures the same widths or has done so.

    One that ended without a finite number has not.

    One transaction: asked several times at once, one run is queued, and none for a map that is
    deleted meanwhile.

    Raises:
        MapNotFound: When there is no such map.
    """
    with database.writing() as session:
        scored = session.scalars(select(BitMap.sensitivity_run_id).where(BitMap.id == map_id))
        keep_run(session, scored.first())  # before the map, as who deletes the run does
        lock_map(session, map_id)
        found = _find_standing(session, map_id, new.content_hash)
        if found is not None:
            return Queued(found, ())
        created = add_runs(session, run, baseline)
        values = {name: getattr(new, name) for name in _OWN}
        row = session.get_one(BitMap, map_id)
        session.add(
            BitMapCheck(
                run_id=created[-1],
                map_id=map_id,
                sensitivity_run_id=row.sensitivity_run_id,
                **values,
            )
        )
        return Queued(created[-1], tuple(created))


def list_checks(database: Database, map_id: int) -> tuple[CheckRecord, ...]:
    """Return the checks of a map, oldest first, with what their runs have measured so far."""
    with database.reading() as session:
        return _read(session, _select_checks().where(BitMapCheck.map_id == map_id))


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
    """Return the finished checks of maps that had these scores, deleted ones too, oldest first.

    Those whose prediction and measurement cannot be compared are left out.
    """
    query = _select_checks().where(
        BitMapCheck.sensitivity_run_id == sensitivity_run_id,
        BitMapCheck.metric == metric,
        BitMapCheck.obstacle.is_(None),
        Run.state == "succeeded",
    )
    with database.reading() as session:
        return _read(session, query)


def _find_standing(session: Session, map_id: int, content_hash: str) -> int | None:
    query = (
        select(BitMapCheck.run_id, BitMapCheck.metric, Run.state)
        .join(Run, Run.id == BitMapCheck.run_id)
        .where(
            BitMapCheck.map_id == map_id,
            BitMapCheck.content_hash == content_hash,
            Run.state.in_(STANDING),
        )
        .order_by(BitMapCheck.run_id.desc())
    )
    rows = session.execute(query).all()
    scores = _read_scores(session, [run_id for run_id, *_ in rows])
    for run_id, metric, state in rows:
        if state != "succeeded" or _has_measured(scores.get(run_id, {}), metric):
            return run_id
    return None


def _has_measured(scores: Mapping[str, tuple[float, float | None]], metric: str | None) -> bool:
    """Whether a run has a number of what was predicted, or a perplexity."""
    return any(
        isfinite(value) for name, (value, _) in scores.items() if name in (metric, PERPLEXITY)
    )


def _select_checks() -> Select[BitMapCheck, str, str, dict[str, Any]]:
    query = select(BitMapCheck, Run.state, Run.baseline_key, Run.spec)
    return query.join(Run, Run.id == BitMapCheck.run_id).order_by(BitMapCheck.run_id)


def _read(
    session: Session, query: Select[BitMapCheck, str, str, dict[str, Any]]
) -> tuple[CheckRecord, ...]:
    rows = session.execute(query).all()
    if not rows:
        return ()
    scores = _read_scores(session, [check.run_id for check, *_ in rows])
    baselines = _read_baselines(session, {key for _, _, key, _ in rows})
    return tuple(
        CheckRecord(
            **{name: getattr(check, name) for name in _OWN},
            map_id=check.map_id,
            run_id=check.run_id,
            state=cast("RunState", state),
            spec=spec,
            scores=scores.get(check.run_id, {}),
            baseline=baselines.get(key),
        )
        for check, state, key, spec in rows
    )


def _read_scores(
    session: Session, run_ids: Iterable[int]
) -> dict[int, dict[str, tuple[float, float | None]]]:
    """Return value and error by run and metric, of what was measured on running text."""
    query = select(Score.run_id, Score.metric, Score.value, Score.standard_error).where(
        Score.run_id.in_(tuple(run_ids)),
        Score.phase == "final",
        Score.benchmark.startswith(TEXT_BENCHMARK, autoescape=True),
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
            Score.benchmark.startswith(TEXT_BENCHMARK, autoescape=True),
        )
        .order_by(Run.id)
    )
    return {key: (value, error) for key, value, error in session.execute(query)}
