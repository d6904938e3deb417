"""Where requests are handed in: the settings and the open database. Start with `open_desk`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import BitdialError
from tasks.settings import Settings
from tasks.store.database import Database, open_database
from tasks.store.run_changes import mark_sent
from tasks.store.schema import check_current


@dataclass(frozen=True)
class Desk:
    """Where requests are handed in: the settings and the open database."""

    settings: Settings
    database: Database


def open_desk(settings: Settings) -> Desk:
    """Open the database of these settings.

    Raises:
        SchemaOutdated: When `bitdial db upgrade` has not been run.
        StoreUnavailable: When the database cannot be reached.
    """
    database = open_database(settings)
    try:
        check_current(database)
    except BitdialError:
        database.dispose()
        raise
    return Desk(settings, database)


def wake(desk: Desk, run_ids: Sequence[int]) -> None:
    """Send hints for queued runs; where no broker takes them, the workers' patrol does."""
    from tasks.wake import send_hints  # noqa: PLC0415 - Celery is loaded with the first hint only

    if send_hints(desk.settings, run_ids):
        mark_sent(desk.database, run_ids)
