"""Settings, desks and specs for tests of `tasks`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import Settings
from tasks.submit import Desk, open_desk
from tests.migrated import empty_store, place_store
from tests.services import postgres_address, postgres_server, redis_address

__all__ = ["empty_store", "postgres_address", "postgres_server", "redis_address"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Short leases in a folder of the test's own."""
    return Settings(
        data_folder=tmp_path / "data",
        database_url="",
        broker_url=None,
        lease_seconds=4,
        patrol_seconds=0.3,
        hint_seconds=60,
        cancel_grace_seconds=1,
    )


@pytest.fixture
def desk(settings: Settings, empty_store: Path) -> Iterator[Desk]:
    """An open desk on SQLite."""
    place_store(empty_store, settings)
    opened = open_desk(settings)
    yield opened
    opened.database.dispose()
