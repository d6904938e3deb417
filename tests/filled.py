"""Fixtures with a store full of runs: filled once, copied for each test that asks.

A conftest that wants them imports them. Start with `filled`; what is in it stands in
`tests.store_samples`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.services import Services, open_services
from tasks.settings import Settings
from tests.start_samples import StartSamples, add_start_runs
from tests.store_samples import Samples, fill_store, open_sample_desk


@dataclass(frozen=True)
class Filled:
    """Services on a store of the test's own, and where the interesting runs are."""

    services: Services
    samples: Samples


@dataclass(frozen=True)
class Started(Filled):
    """The same with runs that tell of their start."""

    starts: StartSamples


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Samples]:
    """Fill a store once; nobody may change it."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    folder.mkdir()
    desk = open_sample_desk(folder)
    try:
        return folder, fill_store(desk)
    finally:
        desk.database.dispose()


@pytest.fixture
def filled(filled_folder: tuple[Path, Samples], tmp_path: Path) -> Iterator[Filled]:
    """Open a copy of the filled store; no worker is there to take up what is queued."""
    folder = tmp_path / "filled"
    shutil.copytree(filled_folder[0], folder)
    services = open_services(Settings(data_folder=folder, database_url="", broker_url=None))
    yield Filled(services, filled_folder[1])
    services.database.dispose()


@pytest.fixture(scope="session")
def started_folder(
    filled_folder: tuple[Path, Samples], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Samples, StartSamples]:
    """Add runs that tell of their start to a copy, once; nobody may change it."""
    folder = tmp_path_factory.mktemp("started") / "data"
    shutil.copytree(filled_folder[0], folder)
    services = open_services(Settings(data_folder=folder, database_url="", broker_url=None))
    try:
        return folder, filled_folder[1], add_start_runs(services.desk)
    finally:
        services.database.dispose()


@pytest.fixture
def started(
    started_folder: tuple[Path, Samples, StartSamples], tmp_path: Path
) -> Iterator[Started]:
    """Open a copy of the store with runs that tell of their start."""
    folder = tmp_path / "started"
    shutil.copytree(started_folder[0], folder)
    services = open_services(Settings(data_folder=folder, database_url="", broker_url=None))
    yield Started(services, *started_folder[1:])
    services.database.dispose()
