"""Stores with their tables and nothing in them: migrated once, copied for each test that asks.

That the migrations work is tried in `tests.migrations`; elsewhere their third of a second is only
waited for. A conftest that wants stores imports `empty_store`. Start with `place_store`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.settings import Settings
from tasks.store.schema import upgrade

FILE = "bitdial.sqlite"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an SQLite file at the newest revision; nobody may change it."""
    folder = tmp_path_factory.mktemp("migrated")
    upgrade(Settings(data_folder=folder, database_url="", broker_url=None))
    return folder / FILE


def place_store(empty_store: Path, settings: Settings) -> None:
    """Put a copy of the file where these settings, of an SQLite store, look for it."""
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_store, settings.data_folder / FILE)
