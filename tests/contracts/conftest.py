"""Every promise of the store is tried on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import Settings
from tasks.store.database import Database, open_database
from tasks.store.schema import upgrade
from tests.services import postgres_address, postgres_server

__all__ = ["postgres_address", "postgres_server"]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for each kind of database, in a folder of the test's own."""
    is_postgres = request.param == "postgres"
    address = request.getfixturevalue("postgres_address") if is_postgres else ""
    return Settings(
        data_folder=tmp_path / "data",
        database_url=address,
        broker_url=None,
        lease_seconds=60,
        max_attempts=3,
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An empty store at the newest revision."""
    upgrade(settings)
    opened = open_database(settings)
    yield opened
    opened.dispose()
