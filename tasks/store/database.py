"""Connections and transactions; never called "engine", which is another package of ours.

Reading and writing use separate pools: a writing transaction on SQLite takes the lock at its start
(`BEGIN IMMEDIATE`), because one that reads first and writes later fails at once under contention,
whatever the busy timeout. Start with `open_database`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from engine.errors import StorageError
from tasks.errors import SettingsError, StoreUnavailable
from tasks.settings import Settings

BUSY_TIMEOUT_MILLISECONDS = 30_000
CONNECT_TIMEOUT_SECONDS = 5


class Database:
    """One database, open for this process; not to be used across a fork.

    Attributes:
        url: Its address, with the driver we use.
    """

    def __init__(self, url: str) -> None:
        """Prepare the pools; connects on first use.

        Raises:
            SettingsError: When the address is not one of SQLite or Postgres.
        """
        self.url = _accepted_url(url)
        self._writer = _create(self.url, "BEGIN IMMEDIATE")
        self._reader = _create(self.url, "BEGIN")
        if not self.is_sqlite:
            self._reader = self._reader.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that sees one unchanging snapshot."""
        with self._translated(), Session(self._reader, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session that commits at the end, or rolls back on any exception."""
        with (
            self._translated(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def connecting(self) -> Iterator[Connection]:
        """Open a bare writing connection in a transaction, for migrations."""
        with self._translated(), self._writer.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every connection."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            cause = str(error.orig).splitlines()[0] if str(error.orig) else "no reason given"
            where = self.url.render_as_string(hide_password=True)
            if "full" in cause:
                raise StorageError(f"the database {where} cannot grow: {cause}") from error
            if "no such table" in cause:
                raise StoreUnavailable(
                    f"the database {where} is empty; run `bitdial db upgrade`"
                ) from error
            raise StoreUnavailable(f"the database {where} cannot be used: {cause}") from error


def open_database(settings: Settings) -> Database:
    """Open the database of these settings; makes the data folder.

    Raises:
        SettingsError: When the address is not one of SQLite or Postgres.
        StorageError: When the data folder cannot be made.
    """
    database = Database(settings.database_address)
    folder = settings.data_folder
    if database.is_sqlite and database.url.database:
        folder = Path(database.url.database).parent
    for needed in {settings.data_folder, folder}:
        try:
            needed.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"the folder {needed} cannot be made: {reason}") from error
    return database


def lock_name(session: Session, name: str) -> None:
    """Let one writing transaction at a time past this point, per name."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
        )


def _accepted_url(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError:
        url = None
    if url is not None and url.drivername == "sqlite" and url.database not in (None, ":memory:"):
        return url
    if url is not None and url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    shown = url.render_as_string(hide_password=True) if url is not None else "what is set"
    raise SettingsError(
        f"DATABASE_URL: {shown} is not an address of a database; "
        "use sqlite:////folder/file.sqlite or postgresql://user:password@host/name"
    )


def _create(url: URL, begin: str) -> Engine:
    if url.get_backend_name() == "sqlite":
        created = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MILLISECONDS / 1000})
        event.listen(created, "connect", _prepare_sqlite)
        event.listen(created, "begin", lambda connection: connection.exec_driver_sql(begin))
        return created
    try:
        return create_engine(
            url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS}
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            "DATABASE_URL: Postgres needs its driver; install bitdial[postgres]"
        ) from error


def _prepare_sqlite(connection: Any, record: Any) -> None:
    """Turn the driver's own transactions off and set what is per connection."""
    del record
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
