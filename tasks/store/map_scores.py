"""Scores of trained models at many layer maps: written by `recording`, read by pages.

A score has one row per map, benchmark and metric, that of the newest attempt. Beside them stand the
runs they are compared with: other evaluations of the same training run, and runs that were trained
at one width alone. Start with `list_map_scores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.events import MapScored
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.store.database import Database
from tasks.store.records import MapScoreRecord, RunRecord, RunState, ScoreRecord, to_record
from tasks.store.tables import MapScore, Run, Score
from tasks.store.upsert import upsert

SCORE_KEY = ("run_id", "place", "benchmark", "metric")
FINISHED: tuple[RunState, ...] = ("succeeded",)


@dataclass(frozen=True)
class TrainedPoint:
    """A finished run that was trained at one width, and is measured the same way.

    Attributes:
        bits: Its width, 16 where nothing is rounded.
        scores: What was measured after training.
    """

    run_id: int
    name: str
    bits: int
    scores: tuple[ScoreRecord, ...]


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


def list_trained_points(database: Database, run: RunRecord) -> tuple[TrainedPoint, ...]:
    """Return the runs that were trained at one whole width each, the highest width first.

    They are succeeded experiments of the same model and evaluation setting, without bit policy and
    layer map; the run itself and the one it builds on are not among them.
    """
    query = (
        select(Run)
        .where(
            Run.kind == "experiment",
            Run.state == "succeeded",
            Run.baseline_key == run.baseline_key,
            Run.id.not_in([run.id, run.parent_id or run.id]),
        )
        .order_by(Run.id)
    )
    with database.reading() as session:
        found = list(_iter_points(session, session.scalars(query)))
    return tuple(sorted(found, key=lambda point: (-point.bits, point.run_id)))


def add_map_scores(session: Session, run_id: int, scores: Sequence[MapScored]) -> None:
    """Write scores; one that is there already is replaced."""
    for score in scores:
        upsert(session, MapScore, [{"run_id": run_id, **vars(score)}], key=SCORE_KEY)


def find_trained_bits(spec: Mapping[str, Any]) -> int | None:
    """Return the one width that a run was trained at; None where there are several or none."""
    training, quantizer = spec["training"], spec["quantizer"]
    if training["method"] == "none":
        return None
    if quantizer["grid"] == "float":
        return BITS_UNQUANTIZED
    policy = training.get("bit_policy", {}).get("policy", "fixed")
    bits = quantizer["bits"]
    is_one = policy == "fixed" and not quantizer.get("layer_bits") and bits == int(bits)
    return int(bits) if is_one else None


def _iter_points(session: Session, runs: Iterable[Run]) -> Iterator[TrainedPoint]:
    for run in runs:
        bits = find_trained_bits(run.spec)
        if bits is not None:
            query = select(Score).where(Score.run_id == run.id, Score.phase == "final")
            rows = session.scalars(query.order_by(Score.benchmark, Score.metric))
            scores = tuple(to_record(ScoreRecord, row) for row in rows)
            yield TrainedPoint(run.id, run.name, bits, scores)
