"""Changing runs: submit, preview, cancel, retry, delete. Start with `submit_run`.

What each does is decided in `tasks.submit`; here it gets an address.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.api.access import RunId, ServicesHere
from app.api.bodies import OPENAPI_BODY, AskedValues
from app.api.refusals import CONFLICT, NOT_FOUND, REFUSED
from app.api.replies import PreviewReply, RunDetailReply
from app.api.runs import read_detail
from engine.specs import resolve
from tasks import submit
from tasks.store import runs

router = APIRouter(tags=["orders"])
Preset = Annotated[str | None, Query(description="Preset beneath the body's fields.")]
Overrides = Annotated[
    list[str] | None, Query(alias="set", description="KEY=VALUE over the body; repeatable.")
]
Priority = Annotated[int, Query(ge=-1000, le=1000, description="Higher goes first.")]
WithBaseline = Annotated[
    bool, Query(description="Queue the 16-bit baseline of the same setting first where missing.")
]


@router.post("/runs", status_code=201, responses=REFUSED, openapi_extra=OPENAPI_BODY)
def submit_run(
    values: AskedValues,
    services: ServicesHere,
    response: Response,
    *,
    preset: Preset = None,
    overrides: Overrides = None,
    priority: Priority = 0,
    with_baseline: WithBaseline = True,
) -> RunDetailReply:
    """Queue a run; `Location` has its address."""
    resolved = resolve(_lay_over(preset, values), overrides or ())
    run = submit.submit(services.desk, resolved, priority=priority, with_baseline=with_baseline)
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return read_detail(run, services)


@router.post("/runs/preview", responses=REFUSED, openapi_extra=OPENAPI_BODY)
def preview_run(
    values: AskedValues,
    services: ServicesHere,
    preset: Preset = None,
    overrides: Overrides = None,
) -> PreviewReply:
    """Say what a request would become or what is wrong with it; nothing is queued."""
    seen = submit.preview(services.desk, _lay_over(preset, values), tuple(overrides or ()))
    found = seen.resolved
    return PreviewReply(
        spec=found.spec.model_dump(mode="json") if found else None,
        preset=found.preset if found else None,
        yaml=seen.yaml,
        estimate=asdict(seen.estimate) if seen.estimate else None,
        problems=[{"field": item.field, "message": item.message} for item in seen.problems],
    )


@router.post("/runs/{run_id}/cancel", responses=NOT_FOUND | CONFLICT)
def cancel_run(run_id: RunId, services: ServicesHere) -> RunDetailReply:
    """Ask a run to stop; a queued one is cancelled at once."""
    submit.cancel(services.desk, run_id)
    return read_detail(runs.get_run(services.database, run_id), services)


@router.post("/runs/{run_id}/retry", responses=NOT_FOUND | CONFLICT)
def retry_run(run_id: RunId, services: ServicesHere) -> RunDetailReply:
    """Queue a failed or cancelled run again; it goes on from its last checkpoint."""
    submit.retry(services.desk, run_id)
    return read_detail(runs.get_run(services.database, run_id), services)


@router.delete("/runs/{run_id}", status_code=204, responses=NOT_FOUND | CONFLICT)
def delete_run(run_id: RunId, services: ServicesHere) -> Response:
    """Delete a run with its curves, log and files."""
    submit.delete(services.desk, run_id)
    return Response(status_code=204)


def _lay_over(preset: str | None, values: dict[str, Any]) -> dict[str, Any]:
    return values if preset is None else {**values, "preset": preset}
