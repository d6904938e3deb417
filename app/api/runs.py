"""Reading runs: the list by pages, one run, its spec as a file. Start with `list_page`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from app.api.access import RunId, ServicesHere
from app.api.refusals import NOT_FOUND, REFUSED
from app.api.replies import RunDetailReply, RunPageReply, RunReply, describe_run
from engine.specs import load_spec, to_yaml
from tasks.store import runs
from tasks.store.records import LARGEST_ID, RunRecord, RunState

router = APIRouter(tags=["runs"])
States = Annotated[list[RunState] | None, Query(description="Only these states; repeatable.")]
Search = Annotated[str, Query(max_length=200, description="Part of the name.")]
BeforeId = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only older runs.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Most runs to return.")]


@router.get("/runs", responses=REFUSED)
def list_page(
    services: ServicesHere,
    *,
    state: States = None,
    search: Search = "",
    before_id: BeforeId = None,
    limit: Limit = 50,
) -> RunPageReply:
    """List runs, newest first, with how many there are in each state."""
    states = tuple(state) if state else None
    found = runs.list_runs(
        services.database, states=states, before_id=before_id, limit=limit + 1, search=search
    )
    page, has_more = found[:limit], len(found) > limit
    return RunPageReply(
        runs=[RunReply.model_validate(describe_run(run)) for run in page],
        next_before_id=page[-1].id if has_more else None,
        counts={str(key): count for key, count in runs.count_by_state(services.database).items()},
    )


@router.get("/runs/{run_id}", responses=NOT_FOUND)
def read_run(run_id: RunId, services: ServicesHere) -> RunDetailReply:
    """Return one run with everything recorded about it."""
    run = runs.get_run(services.database, run_id)
    return read_detail(run, services)


@router.get("/runs/{run_id}/spec.yaml", responses=NOT_FOUND, response_class=Response)
def read_spec(run_id: RunId, services: ServicesHere) -> Response:
    """Return the complete spec as a YAML file that can be submitted again."""
    run = runs.get_run(services.database, run_id)
    text = to_yaml(load_spec(run.spec))
    headers = {"Content-Disposition": f'attachment; filename="run-{run.id}.yaml"'}
    return Response(text, media_type="application/yaml", headers=headers)


def read_detail(run: RunRecord, services: ServicesHere) -> RunDetailReply:
    """Return a record with its stages and attempts."""
    values = asdict(run) | describe_run(run)
    values["stages"] = runs.list_stages(services.database, run.id)
    values["attempts"] = runs.list_attempts(services.database, run.id)
    return RunDetailReply.model_validate(values)
