"""What an attempt writes while it works, and how it ends; every write is fenced.

The fence is the attempt number and the state: a write of an attempt that no longer owns the run
changes nothing and raises `Fenced`. Start with `write_batch` and `finish`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from engine.events import (
    CandidateEvaluated,
    Logged,
    MapScored,
    MetricPoint,
    ScoreMeasured,
    SensitivityScored,
)
from tasks.errors import Fenced
from tasks.store.candidates import add_candidates
from tasks.store.clock import now
from tasks.store.database import Database
from tasks.store.map_scores import add_map_scores
from tasks.store.metric_points import add_points
from tasks.store.records import Control
from tasks.store.run_changes import end_attempt, owned
from tasks.store.sensitivity_scores import add_scores
from tasks.store.tables import File, LogLine, Run, Score, Stage
from tasks.store.upsert import upsert

SCORE_KEY = ("run_id", "benchmark", "metric", "phase")
Ending = Literal["succeeded", "failed", "cancelled", "queued"]


class Owner(Protocol):
    """Who writes: a run's attempt."""

    @property
    def run_id(self) -> int:
        """The run."""

    @property
    def attempt(self) -> int:
        """Its attempt, the fencing token."""


@dataclass(frozen=True)
class RecordedFile:
    """A complete file: path relative to the data folder, size in bytes, SHA-256 in hex."""

    kind: str
    path: str
    size_bytes: int
    sha256: str


@dataclass
class Batch:
    """What has happened since the last write.

    Attributes:
        run: Columns of the run that change (progress, ETA, size, environment, resources,
            ranks).
        ended_stage_seconds: How long the stage lasted that ended.
        started_stage: Name of a stage that began.
        removed_files: Paths of recorded files that are no longer there.
    """

    run: dict[str, Any] = field(default_factory=dict)
    ended_stage_seconds: float | None = None
    started_stage: str | None = None
    points: list[MetricPoint] = field(default_factory=list)
    scores: list[ScoreMeasured] = field(default_factory=list)
    candidates: list[CandidateEvaluated] = field(default_factory=list)
    map_scores: list[MapScored] = field(default_factory=list)
    sensitivity_scores: list[SensitivityScored] = field(default_factory=list)
    lines: list[Logged] = field(default_factory=list)
    files: list[RecordedFile] = field(default_factory=list)
    removed_files: list[str] = field(default_factory=list)


def write_batch(database: Database, owner: Owner, batch: Batch) -> Control | None:
    """Write a batch in one transaction.

    Returns:
        What somebody asked of the run: "cancel", or None.

    Raises:
        Fenced: When the attempt no longer owns the run; nothing is written.
    """
    run_id, attempt = owner.run_id, owner.attempt
    with database.writing() as session:
        control = _fence(session, run_id, attempt)
        _write(session, run_id, attempt, batch)
    return control


def finish(
    database: Database, owner: Owner, batch: Batch, *, ending: Ending, columns: dict[str, Any]
) -> None:
    """Write the last batch and the end of the attempt in the same transaction.

    `ending` is the run's new state ("queued" to try again); `columns` are the run's columns that
    belong to it (failure_kind, ...).

    Raises:
        Fenced: When the attempt no longer owns the run; nothing is written.
    """
    ended: dict[str, Any] = {"lease_until": None, "eta_seconds": None, "control": None}
    run_id, attempt = owner.run_id, owner.attempt
    with database.writing() as session:
        if _fence(session, run_id, attempt) == "cancel" and ending == "queued":
            ending = "cancelled"  # who asked for that wants no other try
        ended |= {"owner": None, "sent_at": None} if ending == "queued" else {"finished_at": now()}
        _write(session, run_id, attempt, batch)
        session.execute(
            update(Run).where(Run.id == run_id).values(state=ending, **ended, **columns)
        )
        end_attempt(session, run_id, attempt, ending)


def _fence(session: Session, run_id: int, attempt: int) -> Control | None:
    query = select(Run.control).where(*owned(run_id, attempt)).with_for_update()
    row = session.execute(query).first()
    if row is None:
        raise Fenced
    return cast("Control | None", row[0])


def _write(session: Session, run_id: int, attempt: int, batch: Batch) -> None:
    mine = {"run_id": run_id, "attempt": attempt}
    if batch.ended_stage_seconds is not None:
        _close_stage(session, run_id, attempt, batch.ended_stage_seconds)
    if batch.started_stage is not None:
        _open_stage(session, run_id, attempt, batch.started_stage)
    if batch.run:
        session.execute(update(Run).where(Run.id == run_id).values(**batch.run))
    if batch.points:
        add_points(session, run_id, attempt, batch.points)
    if batch.lines:
        session.execute(insert(LogLine), [{**mine, **vars(line)} for line in batch.lines])
    _write_results(session, mine, batch)


def _write_results(session: Session, mine: dict[str, int], batch: Batch) -> None:
    if batch.removed_files:
        session.execute(
            delete(File).where(File.run_id == mine["run_id"], File.path.in_(batch.removed_files))
        )
    for score in batch.scores:
        upsert(session, Score, [{**mine, **vars(score)}], key=SCORE_KEY)
    if batch.candidates:
        add_candidates(session, mine["run_id"], batch.candidates)
    add_map_scores(session, mine["run_id"], batch.map_scores)
    add_scores(session, mine["run_id"], batch.sensitivity_scores)
    for recorded in batch.files:
        upsert(session, File, [{**mine, **vars(recorded)}], key=("run_id", "path"))


def _open_stage(session: Session, run_id: int, attempt: int, name: str) -> None:
    count = session.scalar(
        select(func.count())
        .select_from(Stage)
        .where(Stage.run_id == run_id, Stage.attempt == attempt)
    )
    session.add(Stage(run_id=run_id, attempt=attempt, position=count or 0, name=name))
    session.flush()


def _close_stage(session: Session, run_id: int, attempt: int, seconds: float) -> None:
    session.execute(
        update(Stage)
        .where(Stage.run_id == run_id, Stage.attempt == attempt, Stage.seconds.is_(None))
        .values(seconds=seconds)
    )
