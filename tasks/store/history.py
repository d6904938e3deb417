"""What past runs took, for estimates of the next. Start with `list_past_runs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from tasks.store.database import Database
from tasks.store.records import RunKind
from tasks.store.tables import Run


@dataclass(frozen=True)
class PastRun:
    """What a finished run took.

    Attributes:
        spec: Its complete spec as JSON values.
        device: Where it ran.
        peak_memory_bytes: The most memory it held.
        seconds_by_stage: Seconds by stage ("load", "initialize", "train", "evaluate").
    """

    run_id: int
    spec: dict[str, Any]
    device: str
    peak_memory_bytes: int
    seconds_by_stage: dict[str, float]


def list_past_runs(
    database: Database, model_source: str, *, kind: RunKind = "experiment", limit: int = 20
) -> tuple[PastRun, ...]:
    """Return the newest succeeded runs of a model on its last device, newest first.

    Of sensitivity runs only those that one attempt carried out: others were measured in parts.
    """
    query = (
        select(Run)
        .where(
            Run.state == "succeeded",
            Run.kind == kind,
            Run.spec["model"]["source"].as_string() == model_source,
            Run.device.is_not(None),
        )
        .order_by(Run.id.desc())
        .limit(limit)
    )
    if kind == "sensitivity":
        query = query.where(Run.attempt == 1)
    with database.reading() as session:
        past = [_to_past(row) for row in session.scalars(query) if row.resources]
    return tuple(run for run in past if run.device == past[0].device)


def find_last_device(database: Database, queue: str) -> str | None:
    """Return the device of the newest run of a queue that told its device, or None."""
    query = (
        select(Run.device)
        .where(Run.device.is_not(None), Run.queue == queue)
        .order_by(Run.id.desc())
        .limit(1)
    )
    with database.reading() as session:
        return session.scalar(query)


def _to_past(row: Run) -> PastRun:
    resources = row.resources or {}
    return PastRun(
        run_id=row.id,
        spec=row.spec,
        device=row.device or "",
        peak_memory_bytes=resources.get("peak_memory_bytes", 0),
        seconds_by_stage=resources.get("seconds_by_stage", {}),
    )
