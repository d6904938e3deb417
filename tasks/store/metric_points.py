"""Adding points to curves, and keeping each curve's summary right while doing so.

Points are appended in batches; the summary is carried along, so no page ever scans a history to
know the last or best value. Only after a resume, when an attempt does steps again that an earlier
one had done, the older points from there on are dropped and the summary is made anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from engine.events import MetricPoint
from tasks.store.tables import Metric, MetricSummary
from tasks.store.upsert import upsert

MAX_KEY = 120
MAX_STEP = 2**31 - 1


def add_points(session: Session, run_id: int, attempt: int, points: Sequence[MetricPoint]) -> None:
    """Add points of one attempt; steps an older attempt had done from there on are replaced."""
    by_key: dict[str, dict[int, float]] = {}
    for point in points:
        by_key.setdefault(point.key[:MAX_KEY], {})[min(point.step, MAX_STEP)] = point.value
    for key, values in by_key.items():
        _add_to_curve(session, _Curve(run_id, key), attempt, values)


@dataclass(frozen=True)
class _Curve:
    run_id: int
    key: str


def _add_to_curve(session: Session, curve: _Curve, attempt: int, values: dict[int, float]) -> None:
    mine = (Metric.run_id == curve.run_id, Metric.key == curve.key)
    from_here = (*mine, Metric.step >= min(values))
    is_ahead = not session.scalar(select(func.count()).select_from(Metric).where(*from_here))
    if not is_ahead:
        session.execute(delete(Metric).where(*from_here, Metric.attempt < attempt))
    rows = [
        {"run_id": curve.run_id, "key": curve.key, "step": step, "attempt": attempt, "value": value}
        for step, value in sorted(values.items())
    ]
    upsert(session, Metric, rows, key=("run_id", "key", "step"))
    session.expire_all()
    summary = session.get(MetricSummary, (curve.run_id, curve.key)) if is_ahead else None
    if summary is None:
        _summarize_anew(session, curve)
    else:
        _prolong(summary, values)
    session.flush()


def _prolong(summary: MetricSummary, values: dict[int, float]) -> None:
    numbers = [value for value in values.values() if not math.isnan(value)]
    summary.num_points += len(values)
    summary.last_step = max(values)
    summary.last_value = values[max(values)]
    known = [] if math.isnan(summary.min_value) else [summary.min_value, summary.max_value]
    summary.min_value = min(numbers + known, default=math.nan)
    summary.max_value = max(numbers + known, default=math.nan)


def _summarize_anew(session: Session, curve: _Curve) -> None:
    mine = (Metric.run_id == curve.run_id, Metric.key == curve.key)
    found = select(func.count(), func.min(Metric.value), func.max(Metric.value)).where(*mine)
    num_points, least, most = session.execute(found).one()
    last = select(Metric.step, Metric.value).where(*mine).order_by(Metric.step.desc()).limit(1)
    last_step, last_value = session.execute(last).one()
    row = {
        "run_id": curve.run_id,
        "key": curve.key,
        "num_points": num_points,
        "last_step": last_step,
        "last_value": last_value,
        "min_value": least,
        "max_value": most,
    }
    upsert(session, MetricSummary, [row], key=("run_id", "key"))
