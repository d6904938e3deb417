"""Insert or replace, in one statement, on both databases. Start with `upsert`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tasks.store.tables import Base


def upsert(
    session: Session,
    table: type[Base],
    rows: Sequence[dict[str, Any]],
    *,
    key: tuple[str, ...],
) -> None:
    """Insert rows; where one with the same key is there, replace its other columns."""
    on_postgres = session.get_bind().dialect.name == "postgresql"
    statement = postgresql.insert(table) if on_postgres else sqlite.insert(table)
    others = [name for name in rows[0] if name not in key]
    replaced = {name: statement.excluded[name] for name in others}
    session.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), list(rows))
