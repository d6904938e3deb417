"""Scores of trained models at many layer maps: written by `recording`, read by pages.

A score has one row per map, benchmark and metric, that of the newest attempt. Beside them stand the
runs they are compared with: other evaluations of the same training run, and runs that were trained
at one width alone. Start with `list_map_scores`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from engine.events import MapScored
from tasks.store.database import Database
from tasks.store.records import MapScoreRecord, RunRecord, RunState, ScoreRecord, to_record
from tasks.store.tables import MapScore, Run, Score
from tasks.store.upsert import upsert
from tasks.trained_alone import describe_at, find_width, write_summary

SCORE_KEY = ("run_id", "place", "benchmark", "metric")
POINTS_PER_WIDTH = 3
FINISHED: tuple[RunState, ...] = ("succeeded",)


@dataclass(frozen=True)
class TrainedPoint:
    """A finished run that was trained at one width, and is measured the same way.

    Attributes:
        bits: Its width.
        scores: What was measured after training.
        summary: Its widths and method in words.
    """

    run_id: int
    name: str
    bits: int
    scores: tuple[ScoreRecord, ...]
    summary: str = ""


@dataclass(frozen=True)
class TrainedPoints:
    """What a curve of layer maps is compared with.

    Attributes:
        points: The newest runs of each width, the highest width first.
        num_left_out: Comparable runs besides them.
    """

    points: tuple[TrainedPoint, ...]
    num_left_out: int


def list_map_scores(database: Database, run_id: int) -> tuple[MapScoreRecord, ...]:
    """Return what an evaluation of maps has measured so far, map by map as they were asked for."""
    query = (
        select(MapScore)
        .where(MapScore.run_id == run_id)
        .order_by(MapScore.place, MapScore.benchmark, MapScore.metric)
    )
    with database.reading() as session:
        return tuple(to_record(MapScoreRecord, row) for row in session.scalars(query))


def list_done(database: Database, run_id: int) -> tuple[int, ...]:
    """Return the places of the maps that earlier attempts measured whole.

    Maps are measured one after another, so the last one that has a score may have been cut short.
    """
    query = select(MapScore.place).where(MapScore.run_id == run_id).distinct()
    with database.reading() as session:
        return tuple(sorted(session.scalars(query.order_by(MapScore.place))))[:-1]


def find_map_evaluations(
    database: Database, parent_id: int, *, states: Iterable[RunState] = FINISHED
) -> tuple[RunRecord, ...]:
    """Return the evaluations of maps of a training run in these states, the newest first."""
    query = (
        select(Run)
        .where(
            Run.parent_id == parent_id,
            Run.kind == "map-evaluation",
            Run.state.in_(tuple(states)),
        )
        .order_by(Run.id.desc())
    )
    with database.reading() as session:
        return tuple(to_record(RunRecord, row) for row in session.scalars(query))


def list_trained_points(database: Database, run: RunRecord) -> TrainedPoints:
    """Return the newest runs that were trained at one whole width each, the highest width first.

    They are succeeded experiments of the same model and evaluation setting that round and learn as
    the run does, without bit policy and layer map; the run itself and the one it builds on are not
    among them.

    Args:
        database: Where they are stored.
        run: A training run, or an evaluation of its maps.
    """
    query = (
        select(Run.id, Run.name, Run.spec)
        .where(
            Run.kind == "experiment",
            Run.state == "succeeded",
            Run.baseline_key == run.baseline_key,
            Run.id.not_in([run.id, run.parent_id or run.id]),
        )
        .order_by(Run.id.desc())
    )
    with database.reading() as session:
        kept, num_left_out = _choose(session.execute(query), run.spec)
        final = select(Score).where(Score.run_id.in_(kept), Score.phase == "final")
        rows = session.scalars(final.order_by(Score.benchmark, Score.metric))
        scores = [to_record(ScoreRecord, row) for row in rows]
    points = (
        replace(point, scores=tuple(score for score in scores if score.run_id == point.run_id))
        for point in kept.values()
    )
    ordered = sorted(points, key=lambda point: (-point.bits, point.run_id))
    return TrainedPoints(tuple(ordered), num_left_out)


def add_map_scores(session: Session, run_id: int, scores: Sequence[MapScored]) -> None:
    """Write scores; one that is there already is replaced."""
    for score in scores:
        upsert(session, MapScore, [{"run_id": run_id, **vars(score)}], key=SCORE_KEY)


def _choose(
    runs: Iterable[Row[int, str, dict[str, Any]]], spec: dict[str, Any]
) -> tuple[dict[int, TrainedPoint], int]:
    """Take the first comparable runs of each width, and count the others; scores come later."""
    at: dict[int, str] = {}
    kept: dict[int, TrainedPoint] = {}
    seen: Counter[int] = Counter()
    for run_id, name, own in runs:
        bits = find_width(own)
        if bits is None:
            continue
        if bits not in at:
            at[bits] = describe_at(spec, bits)
        if describe_at(own, bits) != at[bits]:
            continue
        seen[bits] += 1
        if seen[bits] <= POINTS_PER_WIDTH:
            kept[run_id] = TrainedPoint(run_id, name, bits, (), write_summary(own))
    return kept, seen.total() - len(kept)
