"""Unfinished forms, kept so that a reload or a second tab finds them again.

A save names the revision it saw; a stale one is refused, so no tab overwrites another unseen.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from tasks.errors import DraftConflict, DraftNotFound
from tasks.store.clock import now
from tasks.store.database import Database
from tasks.store.records import DraftRecord, to_record
from tasks.store.tables import Draft


def create_draft(database: Database, values: dict[str, Any]) -> DraftRecord:
    """Keep a new form; its revision is 1."""
    with database.writing() as session:
        row = Draft(revision=1, values=values)
        session.add(row)
        session.flush()
        session.refresh(row)
        return to_record(DraftRecord, row)


def get_draft(database: Database, draft_id: int) -> DraftRecord:
    """Return the form.

    Raises:
        DraftNotFound: When there is none with this id.
    """
    with database.reading() as session:
        row = session.get(Draft, draft_id)
        if row is None:
            raise DraftNotFound(f"there is no draft {draft_id}")
        return to_record(DraftRecord, row)


def save_draft(
    database: Database, draft_id: int, values: dict[str, Any], revision: int
) -> DraftRecord:
    """Replace the form's values and return it with the next revision.

    `revision` is the one these values were made from.

    Raises:
        DraftNotFound: When there is none with this id.
        DraftConflict: When somebody saved a newer one.
    """
    with database.writing() as session:
        saved = session.execute(
            update(Draft)
            .where(Draft.id == draft_id, Draft.revision == revision)
            .values(values=values, revision=revision + 1, updated_at=now())
            .returning(Draft.id)
            .execution_options(synchronize_session=False)
        ).first()
        row = session.get(Draft, draft_id)
        if row is None:
            raise DraftNotFound(f"there is no draft {draft_id}")
        if saved is None:
            raise DraftConflict
        return to_record(DraftRecord, row)
