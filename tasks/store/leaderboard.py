"""The rows of the leaderboard: finished runs beside the baseline of their setting.

What was measured before training is no result of a run and stays out, and so do evaluations of
layer maps and sensitivity runs: their many scores stand on their own pages.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.store.database import Database
from tasks.store.records import LeaderboardRow, RunRecord, ScoreRecord, to_record
from tasks.store.tables import Run, Score

Scores = dict[str, ScoreRecord]
UNLISTED = ("map-evaluation", "sensitivity")


def list_rows(database: Database, *, limit: int = 1000) -> tuple[LeaderboardRow, ...]:
    """Return succeeded runs with their scores: baselines first, then the newest.

    The baseline of a setting is its newest finished one; without any, `baseline_scores` is empty.
    """
    query = (
        select(Run)
        .where(Run.state == "succeeded", Run.kind.not_in(UNLISTED))
        .order_by(Run.is_baseline.desc(), Run.id.desc())
        .limit(limit)
    )
    with database.reading() as session:
        runs = [to_record(RunRecord, row) for row in session.scalars(query)]
        baselines = _load_baselines(session, {run.baseline_key for run in runs})
        scores = _load_scores(session, {run.id for run in runs} | set(baselines.values()))
    return tuple(_build_row(run, baselines, scores) for run in runs)


def _build_row(
    run: RunRecord, baselines: dict[str, int], scores: dict[int, Scores]
) -> LeaderboardRow:
    baseline = baselines.get(run.baseline_key)
    return LeaderboardRow(
        run=run,
        scores=scores.get(run.id, {}),
        baseline_scores=scores.get(baseline, {}) if baseline else {},
        baseline_run_id=baseline,
        tuned=run.spec["training"]["method"] != "none",
    )


def _load_baselines(session: Session, keys: Iterable[str]) -> dict[str, int]:
    query = (
        select(Run.baseline_key, Run.id)
        .where(Run.baseline_key.in_(keys), Run.is_baseline, Run.state == "succeeded")
        .order_by(Run.id)
    )
    return {row.baseline_key: row.id for row in session.execute(query)}


def _load_scores(session: Session, run_ids: Iterable[int]) -> dict[int, Scores]:
    found: dict[int, Scores] = {}
    final = select(Score).where(Score.run_id.in_(run_ids), Score.phase == "final")
    for row in session.scalars(final):
        score = to_record(ScoreRecord, row)
        found.setdefault(row.run_id, {})[f"{row.benchmark}|{row.metric}"] = score
    return found
