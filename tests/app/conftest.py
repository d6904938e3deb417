"""Services on an empty store of the test's own, and on a filled one that is made once for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import Services, open_services
from tasks.settings import Settings
from tests.filled import filled, filled_folder, started, started_folder
from tests.migrated import empty_store, place_store

__all__ = ["empty_store", "filled", "filled_folder", "started", "started_folder"]


@pytest.fixture
def services(data_folder: Path, empty_store: Path) -> Iterator[Services]:
    """Open services on SQLite; no worker is there to take up what is queued."""
    settings = Settings(data_folder=data_folder, database_url="", broker_url=None)
    place_store(empty_store, settings)
    opened = open_services(settings)
    yield opened
    opened.database.dispose()
