"""Scores of sensitivity runs: written by `recording`, thousands at once, read by pages and solving.

A score has one row per unit, width and metric, the newest. Start with `list_scores`; which runs can
stand beside each other is told by `list_comparable`, what a new attempt need not measure again by
`list_done`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.events import SensitivityScored
from tasks.store.database import Database
from tasks.store.records import RunRecord, SensitivityScoreRecord, to_record
from tasks.store.tables import Run, SensitivityScore
from tasks.store.upsert import upsert

KIND = "sensitivity"
SCORE_KEY = ("run_id", "unit", "bits", "metric")
START = ("unit", "start_bits", "start_map")
NOT_ROUNDING = ("bits", "mixing", "inputs", "cache")
"""Fields of a quantizer that change no score: every unit is taken to widths that are asked for."""


def list_scores(database: Database, run_id: int) -> tuple[SensitivityScoreRecord, ...]:
    """Return what a sensitivity run has measured so far, by unit, the highest width first."""
    query = (
        select(SensitivityScore)
        .where(SensitivityScore.run_id == run_id)
        .order_by(SensitivityScore.unit, SensitivityScore.bits.desc(), SensitivityScore.metric)
    )
    with database.reading() as session:
        return tuple(to_record(SensitivityScoreRecord, row) for row in session.scalars(query))


def list_done(database: Database, run_id: int) -> frozenset[tuple[str, int]]:
    """Return the units and widths that earlier attempts measured whole.

    Whole is what has every metric, on as many samples as any other. Pairs are measured one after
    another, so where there is only one it may have been cut short.
    """
    by_pair: dict[tuple[str, int], dict[str, int]] = {}
    most: dict[str, int] = {}
    for score in list_scores(database, run_id):
        by_pair.setdefault((score.unit, score.bits), {})[score.metric] = score.num_samples
        most[score.metric] = max(score.num_samples, most.get(score.metric, 0))
    if len(by_pair) < 2:
        return frozenset()
    return frozenset(pair for pair, samples in by_pair.items() if samples == most)


def list_comparable(database: Database, run: RunRecord) -> tuple[RunRecord, ...]:
    """Return other sensitivity runs whose scores answer the same question, the newest first.

    They take the same units of the same model (and training run) from the same start map and
    initialization, on the same grid, with the same adapters; method, text and widths may differ.
    Runs that have not begun are left out.
    """
    query = (
        select(Run)
        .where(
            Run.kind == KIND,
            Run.id != run.id,
            Run.attempt > 0,
            Run.spec["model"]["source"].as_string() == run.spec["model"]["source"],
        )
        .order_by(Run.id.desc())
    )
    asked = _describe_question(run.spec)
    with database.reading() as session:
        found = [to_record(RunRecord, row) for row in session.scalars(query)]
    return tuple(each for each in found if _describe_question(each.spec) == asked)


def list_sensitivity_runs(database: Database, *, model_source: str) -> tuple[RunRecord, ...]:
    """Return the sensitivity runs of a model in any state, the newest first."""
    query = (
        select(Run)
        .where(Run.kind == KIND, Run.spec["model"]["source"].as_string() == model_source)
        .order_by(Run.id.desc())
    )
    with database.reading() as session:
        return tuple(to_record(RunRecord, row) for row in session.scalars(query))


def add_scores(session: Session, run_id: int, scores: Sequence[SensitivityScored]) -> None:
    """Write scores; of those with the same unit, width and metric the last one holds."""
    rows = {(score.unit, score.bits, score.metric): score for score in scores}
    if rows:
        values = [{"run_id": run_id, **vars(score)} for score in rows.values()]
        upsert(session, SensitivityScore, values, key=SCORE_KEY)


def _describe_question(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what two runs must have in common to be compared."""
    quantizer = {
        name: value for name, value in spec["quantizer"].items() if name not in NOT_ROUNDING
    }
    return {
        "model": spec["model"],
        "parent": spec.get("parent"),
        "quantizer": quantizer,
        "adapter": spec.get("adapter"),
        "initialization": spec.get("initialization"),
        **{name: spec.get(name) for name in START},
    }
