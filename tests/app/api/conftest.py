"""A client of the API on the filled store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.api import build_api, build_metrics_router
from tests.filled import Filled


@pytest.fixture
def client(filled: Filled) -> Iterator[TestClient]:
    """Open a client of the API as the web process mounts it."""
    web = FastAPI()
    web.include_router(build_metrics_router(filled.services))
    web.mount("/api/v1", build_api(filled.services))
    with TestClient(web) as opened:
        yield opened
