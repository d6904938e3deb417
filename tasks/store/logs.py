"""Lines of runs' logs, paged by id. Written by `recording`."""

from __future__ import annotations

from sqlalchemy import select

from tasks.store.database import Database
from tasks.store.records import LogRecord, to_record
from tasks.store.tables import LogLine

LEVELS = ("debug", "info", "warning", "error")


def list_log_lines(
    database: Database,
    run_id: int,
    *,
    after_id: int = 0,
    level: str | None = None,
    limit: int = 500,
) -> tuple[LogRecord, ...]:
    """Return lines in order, the first `limit` after `after_id`.

    `after_id` is the last line already seen, 0 to start; `level` the least level to show ("debug",
    "info", "warning", "error"), None for all.
    """
    query = select(LogLine).where(LogLine.run_id == run_id, LogLine.id > after_id)
    if level is not None:
        query = query.where(LogLine.level.in_(LEVELS[LEVELS.index(level) :]))
    with database.reading() as session:
        rows = session.scalars(query.order_by(LogLine.id).limit(limit))
        return tuple(to_record(LogRecord, row) for row in rows)
