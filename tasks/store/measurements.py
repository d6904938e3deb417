"""Curves and scores of runs, as pages read them; written by `recording`.

Start with `list_series`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session
from tsdownsample import MinMaxLTTBDownsampler

from tasks.store.database import Database
from tasks.store.records import MetricSeries, ScoreRecord, to_record
from tasks.store.tables import Metric, MetricSummary, Score

MAX_POINTS = 1000


@dataclass(frozen=True)
class MetricSummaryRecord:
    """What is known of a curve without reading it; extremes leave not-a-number out."""

    key: str
    num_points: int
    last_step: int
    last_value: float
    min_value: float
    max_value: float


def list_metric_keys(database: Database, run_id: int) -> tuple[str, ...]:
    """Return the names of a run's curves, sorted."""
    return tuple(summary.key for summary in list_summaries(database, run_id))


def list_summaries(database: Database, run_id: int) -> tuple[MetricSummaryRecord, ...]:
    """Return last value, extremes and length of each curve of a run, sorted by key."""
    query = select(MetricSummary).where(MetricSummary.run_id == run_id).order_by(MetricSummary.key)
    with database.reading() as session:
        return tuple(to_record(MetricSummaryRecord, row) for row in session.scalars(query))


def list_series(
    database: Database,
    run_id: int,
    *,
    keys: Sequence[str] | None = None,
    after_step: int | None = None,
) -> tuple[MetricSeries, ...]:
    """Return curves, at most 1000 points each, thinned so that peaks stay (MinMaxLTTB).

    Only the curves in `keys` (None for all; unknown ones are left out), and only points after
    `after_step`, to continue a curve.

    Returns:
        One series per key, sorted by key; `num_points` counts the whole curve.
    """
    wanted = select(MetricSummary.key, MetricSummary.num_points).where(
        MetricSummary.run_id == run_id
    )
    if keys is not None:
        wanted = wanted.where(MetricSummary.key.in_(tuple(keys)))
    with database.reading() as session:
        return tuple(
            _load_series(session, run_id, key, after_step, num_points=num_points)
            for key, num_points in session.execute(wanted.order_by(MetricSummary.key)).all()
        )


def list_scores(database: Database, run_id: int) -> tuple[ScoreRecord, ...]:
    """Return the scores of a run, by benchmark and metric, before training first."""
    query = (
        select(Score)
        .where(Score.run_id == run_id)
        .order_by(Score.benchmark, Score.metric, Score.phase)
    )
    with database.reading() as session:
        return tuple(to_record(ScoreRecord, row) for row in session.scalars(query))


def _load_series(
    session: Session, run_id: int, key: str, after_step: int | None, *, num_points: int
) -> MetricSeries:
    query = select(Metric.step, Metric.value).where(Metric.run_id == run_id, Metric.key == key)
    if after_step is not None:
        query = query.where(Metric.step > after_step)
    points = session.execute(query.order_by(Metric.step)).all()
    steps = np.array([step for step, _ in points], dtype=np.int64)
    values = np.array([value for _, value in points], dtype=np.float64)
    if len(steps) > MAX_POINTS:
        kept = MinMaxLTTBDownsampler().downsample(steps, values, n_out=MAX_POINTS)
        steps, values = steps[kept], values[kept]
    return MetricSeries(key, tuple(steps.tolist()), tuple(values.tolist()), num_points)
