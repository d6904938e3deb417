"""Runs that build on a training run: searches for its best ranks, evaluations of given ones.

What each does is decided in `tasks.submit`; here it gets an address. Start with `search_ranks`.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.api.access import RunId, ServicesHere
from app.api.bodies import OPENAPI_EVALUATION, OPENAPI_SEARCH, AskedValues
from app.api.orders import Priority
from app.api.refusals import CONFLICT, NOT_FOUND, REFUSED
from app.api.replies import (
    CandidateReply,
    CandidatesReply,
    RunDetailReply,
    RunReply,
    RunsReply,
    describe_run,
)
from app.api.runs import read_detail
from engine.search.ordering import find_cost
from engine.search.pareto import find_front
from tasks import submit
from tasks.store import candidates, runs
from tasks.store.records import CandidateRecord, RunRecord

router = APIRouter(tags=["ranks"], responses=NOT_FOUND)
ASKED = REFUSED | CONFLICT


@router.post(
    "/runs/{run_id}/searches", status_code=201, responses=ASKED, openapi_extra=OPENAPI_SEARCH
)
def search_ranks(
    run_id: RunId,
    values: AskedValues,
    services: ServicesHere,
    response: Response,
    *,
    priority: Priority = 0,
) -> RunDetailReply:
    """Queue a search for the best ranks of a run's elastic adapters; `Location` has its address."""
    run = submit.submit_search(services.desk, run_id, values, priority=priority)
    return _answer(run, services, response)


@router.post(
    "/runs/{run_id}/evaluations", status_code=201, responses=ASKED, openapi_extra=OPENAPI_EVALUATION
)
def evaluate_ranks(
    run_id: RunId,
    values: AskedValues,
    services: ServicesHere,
    response: Response,
    *,
    priority: Priority = 0,
) -> RunDetailReply:
    """Queue the evaluation of given ranks; `Location` has its address."""
    run = submit.submit_evaluation(services.desk, run_id, values, priority=priority)
    return _answer(run, services, response)


@router.get("/runs/{run_id}/candidates")
def read_candidates(run_id: RunId, services: ServicesHere) -> CandidatesReply:
    """Return every configuration a search evaluated, in order."""
    runs.get_run(services.database, run_id)
    found = candidates.list_candidates(services.database, run_id)
    costs = [find_cost(each) for each in found]
    front = set(find_front(costs, [each.adapter_parameters for each in found]))
    return CandidatesReply(
        candidates=[_describe(each, is_on_front=each.position in front) for each in found]
    )


@router.get("/runs/{run_id}/children")
def read_children(run_id: RunId, services: ServicesHere) -> RunsReply:
    """Return the runs that build on this one, oldest first."""
    runs.get_run(services.database, run_id)
    found = runs.list_children(services.database, run_id)
    return RunsReply(runs=[RunReply.model_validate(describe_run(run)) for run in found])


def _answer(run: RunRecord, services: ServicesHere, response: Response) -> RunDetailReply:
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return read_detail(run, services)


def _describe(record: CandidateRecord, *, is_on_front: bool) -> CandidateReply:
    return CandidateReply.model_validate(vars(record) | {"is_on_front": is_on_front})
