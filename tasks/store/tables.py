"""The tables, typed. Rows never leave the store: `records` are handed out instead.

Start with `Run`. A change here needs a revision in `migrations/versions`.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from tasks.store.clock import UtcTime, now

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
STATE_CHECK = "state IN ('draft', 'queued', 'running', 'succeeded', 'failed', 'cancelled')"
LONG_ID = BigInteger().with_variant(Integer, "sqlite")


class Number(TypeDecorator[float]):
    """A float that may be not-a-number, which SQLite can only keep as NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Keep not-a-number as NULL."""
        del dialect
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """Hand NULL out as not-a-number."""
        del dialect
        return math.nan if value is None else value


class Base(DeclarativeBase):
    """The ground of all tables: types and names of constraints."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {
        str: Text,
        int: Integer,
        float: Double,
        datetime: UtcTime,
        dict[str, Any]: JSON(none_as_null=True),
        dict[str, str]: JSON(none_as_null=True),
        list[int]: JSON,
    }


def _run_key() -> Any:
    return mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


class Run(Base):
    """One recorded execution of a spec; fields as in `RunRecord`, and these besides.

    `sent_at` is when its hint last went to the broker, `num_lost` how many attempts were lost since
    it was last queued by a person.
    """

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(STATE_CHECK, name="state"),
        Index(None, "state", "queue", "priority", "queued_at"),
        Index(None, "baseline_key"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    priority: Mapped[int] = mapped_column(default=0)
    queue: Mapped[str] = mapped_column(String(40))
    preset: Mapped[str | None] = mapped_column(String(80))
    spec: Mapped[dict[str, Any]]
    asked: Mapped[dict[str, Any]]
    baseline_key: Mapped[str] = mapped_column(String(64))
    is_baseline: Mapped[bool]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    attempt: Mapped[int] = mapped_column(default=0)
    num_lost: Mapped[int] = mapped_column(default=0)
    microbatch_halvings: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(200))
    control: Mapped[str | None] = mapped_column(String(20))
    stage: Mapped[str | None] = mapped_column(String(80))
    progress_done: Mapped[int] = mapped_column(default=0)
    progress_total: Mapped[int | None]
    eta_seconds: Mapped[float | None]
    device: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now())
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    failure_kind: Mapped[str | None] = mapped_column(String(40))
    failure_message: Mapped[str | None]
    failure_traceback: Mapped[str | None]
    environment: Mapped[dict[str, str]] = mapped_column(default=dict)
    estimate: Mapped[dict[str, Any] | None]
    size: Mapped[dict[str, Any] | None]
    resources: Mapped[dict[str, Any] | None]
    rank_counts: Mapped[dict[str, Any] | None]
    chosen_ranks: Mapped[dict[str, Any] | None]


class Attempt(Base):
    """One try of a run by one worker."""

    __tablename__ = "attempts"

    run_id: Mapped[int] = _run_key()
    number: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime] = mapped_column(default=now())
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(40))


class Stage(Base):
    """One stage of an attempt."""

    __tablename__ = "stages"

    run_id: Mapped[int] = _run_key()
    attempt: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    started_at: Mapped[datetime] = mapped_column(default=now())
    seconds: Mapped[float | None]


class Metric(Base):
    """One point of a curve; a step done again by a newer attempt replaces the older one's."""

    __tablename__ = "metric_points"

    run_id: Mapped[int] = _run_key()
    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    value: Mapped[float] = mapped_column(Number, nullable=True)


class MetricSummary(Base):
    """What is known of a curve without reading it."""

    __tablename__ = "metric_summaries"

    run_id: Mapped[int] = _run_key()
    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    num_points: Mapped[int]
    last_step: Mapped[int]
    last_value: Mapped[float] = mapped_column(Number, nullable=True)
    min_value: Mapped[float] = mapped_column(Number, nullable=True)
    max_value: Mapped[float] = mapped_column(Number, nullable=True)


class Score(Base):
    """One measured number of a benchmark, before training or after everything."""

    __tablename__ = "scores"

    run_id: Mapped[int] = _run_key()
    benchmark: Mapped[str] = mapped_column(String(300), primary_key=True)
    metric: Mapped[str] = mapped_column(String(80), primary_key=True)
    phase: Mapped[str] = mapped_column(String(10), primary_key=True, default="final")
    attempt: Mapped[int]
    value: Mapped[float] = mapped_column(Number, nullable=True)
    standard_error: Mapped[float | None]
    num_samples: Mapped[int]
    direction: Mapped[str] = mapped_column(String(10))
    limited: Mapped[bool]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Candidate(Base):
    """One configuration of ranks that a search evaluated, in the order of evaluation."""

    __tablename__ = "candidates"

    run_id: Mapped[int] = _run_key()
    position: Mapped[int] = mapped_column(primary_key=True)
    ranks: Mapped[list[int]]
    adapter_parameters: Mapped[int] = mapped_column(BigInteger)
    metric: Mapped[str] = mapped_column(String(80))
    value: Mapped[float] = mapped_column(Number, nullable=True)
    standard_error: Mapped[float | None]
    num_samples: Mapped[int]
    direction: Mapped[str] = mapped_column(String(10))
    origin: Mapped[str] = mapped_column(String(80))
    seconds: Mapped[float]


class MapScore(Base):
    """One score of a trained model at one of the layer maps that were asked for."""

    __tablename__ = "map_scores"

    run_id: Mapped[int] = _run_key()
    place: Mapped[int] = mapped_column(primary_key=True)
    benchmark: Mapped[str] = mapped_column(String(300), primary_key=True)
    metric: Mapped[str] = mapped_column(String(80), primary_key=True)
    label: Mapped[str]
    bits: Mapped[float]
    effective_bits: Mapped[float]
    value: Mapped[float] = mapped_column(Number, nullable=True)
    standard_error: Mapped[float | None]
    num_samples: Mapped[int]
    direction: Mapped[str] = mapped_column(String(10))
    limited: Mapped[bool]


class SensitivityScore(Base):
    """What one unit (a layer, a block, a kind) loses at one width, by one metric."""

    __tablename__ = "sensitivity_scores"

    run_id: Mapped[int] = _run_key()
    unit: Mapped[str] = mapped_column(String(300), primary_key=True)
    bits: Mapped[int] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[float] = mapped_column(Number, nullable=True)
    standard_error: Mapped[float | None]
    num_samples: Mapped[int]


class LogLine(Base):
    """One line of a run's log."""

    __tablename__ = "log_lines"
    __table_args__ = (Index(None, "run_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(LONG_ID, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=now())
    level: Mapped[str] = mapped_column(String(10))
    message: Mapped[str]


class File(Base):
    """A file (or a folder kept as one) of a run, relative to the data folder."""

    __tablename__ = "files"
    __table_args__ = (Index(None, "run_id", "path", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    kind: Mapped[str] = mapped_column(String(40))
    path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class Draft(Base):
    """An unfinished form."""

    __tablename__ = "drafts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int]
    values: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=now())
