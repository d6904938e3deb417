"""A store filled with sensitivity runs, once for a file of tests, copied for each of them.

A file of tests imports the fixtures by name. Start with `services`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import Services, open_services
from tasks.settings import Settings
from tests.sensitivity_samples import SensitivitySamples, add_sensitivity_runs
from tests.store_samples import open_sample_desk


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SensitivitySamples]:
    """Fill a store once; nobody may change it."""
    path = tmp_path_factory.mktemp("sensitivity") / "data"
    path.mkdir()
    desk = open_sample_desk(path)
    try:
        return path, add_sensitivity_runs(desk)
    finally:
        desk.database.dispose()


@pytest.fixture
def samples(folder: tuple[Path, SensitivitySamples]) -> SensitivitySamples:
    """Return where the runs are."""
    return folder[1]


@pytest.fixture
def services(folder: tuple[Path, SensitivitySamples], tmp_path: Path) -> Iterator[Services]:
    """Open a copy of the filled store."""
    path = tmp_path / "data"
    shutil.copytree(folder[0], path)
    opened = open_services(Settings(data_folder=path, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()
