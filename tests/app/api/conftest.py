"""The filled store and a client of the API on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.api import build_api, build_metrics_router
from tests.filled import Filled, filled, filled_folder, started, started_folder

__all__ = ["filled", "filled_folder", "started", "started_folder"]


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """Open a client of the API as the web process mounts it."""
    found: Filled = request.getfixturevalue("filled")
    web = FastAPI()
    web.include_router(build_metrics_router(found.services))
    web.mount("/api/v1", build_api(found.services))
    with TestClient(web) as opened:
        yield opened
