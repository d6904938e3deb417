"""Settings and store for a command, opened and closed around it. Start with `open_desk_here`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.settings import Settings
    from tasks.submit import Desk


@contextmanager
def open_desk_here() -> Iterator[Desk]:
    """Yield the desk of this machine's settings; a store of our own is migrated first.

    Raises:
        BitdialError: When settings cannot be used, or a shared database waits for `db upgrade`.
    """
    from tasks.settings import load_settings
    from tasks.submit import open_desk

    settings = load_settings()
    migrate_own_store(settings)
    desk = open_desk(settings)
    try:
        yield desk
    finally:
        desk.database.dispose()


def migrate_own_store(settings: Settings) -> None:
    """Bring a SQLite store up to date, and refuse a shared database that is not.

    Only an administrator's `bitdial db upgrade` changes a database that others may be using.
    """
    from tasks.store.database import open_database
    from tasks.store.schema import check_current, upgrade

    database = open_database(settings)
    try:
        if database.is_sqlite:
            upgrade(settings)
        else:
            check_current(database)
    finally:
        database.dispose()


def load_settings_for(*, host: str | None, port: int | None) -> Settings:
    """Read the settings, with what the command line says about the address over them."""
    from tasks.settings import load_settings

    said = {"host": host, "port": port}
    return load_settings().model_copy(
        update={key: value for key, value in said.items() if value is not None}
    )
