"""`/metrics`: how many runs there are in each state, as Prometheus reads it.

Start with `build_metrics_router`; it is mounted beside the API, not under it.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from app.services import Services
from tasks.states import STATES
from tasks.store import runs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_metrics_router(services: Services) -> APIRouter:
    """Build the router of `GET /metrics`."""
    router = APIRouter()

    @router.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Answer in Prometheus' text format."""
        return PlainTextResponse(write_metrics(services), media_type=CONTENT_TYPE)

    return router


def write_metrics(services: Services) -> str:
    """Count runs by state, states without runs included."""
    counts = {str(state): count for state, count in runs.count_by_state(services.database).items()}
    lines = ["# HELP bitdial_runs Runs by state.", "# TYPE bitdial_runs gauge"]
    lines += [f'bitdial_runs{{state="{state}"}} {counts.get(state, 0)}' for state in STATES]
    return "\n".join([*lines, ""])
