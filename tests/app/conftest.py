"""Services on an empty store of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import Services, open_services
from tasks.settings import Settings
from tasks.store.schema import upgrade


@pytest.fixture
def services(data_folder: Path) -> Iterator[Services]:
    """Open services on SQLite; no worker is there to take up what is queued."""
    settings = Settings(data_folder=data_folder, database_url="", broker_url=None)
    upgrade(settings)
    opened = open_services(settings)
    yield opened
    opened.database.dispose()
