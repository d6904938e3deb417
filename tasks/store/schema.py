"""Bringing a database to the tables this version needs. Start with `upgrade`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

import migrations
from tasks.errors import SchemaOutdated
from tasks.settings import Settings
from tasks.store.database import Database, lock_name, open_database


def upgrade(settings: Settings) -> None:
    """Bring the database of these settings to the newest revision; nothing where it is there.

    Raises:
        SchemaOutdated: When a newer version of Bitdial made the database.
    """
    database = open_database(settings)
    try:
        migrate(database, "head")
    finally:
        database.dispose()


def migrate(database: Database, revision: str) -> None:
    """Move the database up or down to a revision ("head", "base" or its name), all or nothing."""
    if find_revision(database) == revision or (revision == "head" and is_current(database)):
        return
    with database.connecting() as connection:
        _lock(connection)
        current = MigrationContext.configure(connection).get_current_revision()
        _refuse_unknown(current)
        config = _build_config(connection)
        if revision == "base":
            command.downgrade(config, revision)
        elif revision == "head" or current is None or current < revision:
            command.upgrade(config, revision)
        else:
            command.downgrade(config, revision)


def check_current(database: Database) -> None:
    """Make sure that the database is at the revision this version needs.

    Raises:
        SchemaOutdated: When it is not; says what to do.
    """
    current = find_revision(database)
    _refuse_unknown(current)
    head = get_head()
    if current != head:
        state = f"is at revision {current}" if current else "has no tables yet"
        raise SchemaOutdated(f"the database {state}, {head} is needed; run `bitdial db upgrade`")


def is_current(database: Database) -> bool:
    """Whether the database is at the newest revision we know."""
    return find_revision(database) == get_head()


def find_revision(database: Database) -> str | None:
    """Return the database's revision, or None for an empty one."""
    with database.reading() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        return session.scalar(text("SELECT version_num FROM alembic_version"))


def get_head() -> str:
    """Return the newest revision we know."""
    return str(ScriptDirectory.from_config(_build_config(None)).get_current_head())


def _refuse_unknown(current: str | None) -> None:
    script = ScriptDirectory.from_config(_build_config(None))
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaOutdated(
            f"the database is at revision {current}, made by a newer Bitdial; update this one"
        )


def _build_config(connection: Connection | None) -> Config:
    config = Config()
    folder = str(Path(migrations.__path__[0])).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _lock(connection: Connection) -> None:
    lock_name(Session(connection), "bitdial.schema")
