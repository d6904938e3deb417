"""Training runs measured at many layer maps: asking for it, and what came out.

What is accepted is decided in `tasks.submit`; here it gets an address. Start with `measure_maps`.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from app.api.access import RunId, ServicesHere
from app.api.bodies import OPENAPI_MAPS, AskedValues
from app.api.orders import Priority
from app.api.refusals import CONFLICT, NOT_FOUND, REFUSED
from app.api.replies import PreviewReply, Reply, RunDetailReply
from app.api.runs import read_detail
from engine.errors import SpecError
from tasks import submit
from tasks.map_evaluations import preview_map_evaluation
from tasks.prediction import describe_estimate
from tasks.store import map_scores, runs
from tasks.store.records import MapScoreRecord, RunRecord

router = APIRouter(tags=["maps"], responses=NOT_FOUND)


class MapScoreReply(Reply):
    """One score of a trained model at one layer map.

    `place` is that of the map in the spec's list, from 0, `map` its kind, `label` its name. `bits`
    is the mean width over weights, expected where widths are drawn; `effective_bits` counts scales
    and zero points as well. `value` is null where it is no finite number.
    """

    place: int
    label: str
    map: Literal["uniform", "layers", "random"]
    bits: float
    effective_bits: float
    benchmark: str
    metric: str
    value: float | None
    standard_error: float | None
    num_samples: int
    direction: Literal["lower", "higher"]
    limited: bool


class MapScoresReply(Reply):
    """What has been measured so far, map by map in the order they were asked for."""

    scores: list[MapScoreReply]


@router.post(
    "/runs/{run_id}/map-evaluations",
    status_code=201,
    responses=REFUSED | CONFLICT,
    openapi_extra=OPENAPI_MAPS,
)
def measure_maps(
    run_id: RunId,
    values: AskedValues,
    services: ServicesHere,
    response: Response,
    *,
    priority: Priority = 0,
) -> RunDetailReply:
    """Queue the measurement of a training run at many layer maps; `Location` has its address."""
    run = submit.submit_map_evaluation(services.desk, run_id, values, priority=priority)
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return read_detail(run, services)


@router.post(
    "/runs/{run_id}/map-evaluations/preview",
    responses=REFUSED | CONFLICT,
    openapi_extra=OPENAPI_MAPS,
)
def preview_maps(run_id: RunId, values: AskedValues, services: ServicesHere) -> PreviewReply:
    """Say what a request would become or what is wrong with it; nothing is queued."""
    try:
        found = preview_map_evaluation(services.desk, run_id, values)
    except SpecError as error:
        problems = [{"field": item.field, "message": item.message} for item in error.problems]
        return PreviewReply(spec=None, preset=None, yaml="", estimate=None, problems=problems)
    return PreviewReply(
        spec=found.spec.model_dump(mode="json"),
        preset=None,
        yaml=found.yaml,
        estimate=describe_estimate(found.spec, found.estimate),
        problems=[],
    )


@router.get("/runs/{run_id}/map-scores")
def read_map_scores(run_id: RunId, services: ServicesHere) -> MapScoresReply:
    """Return the scores of an evaluation of maps; none for a run of another kind."""
    run = runs.get_run(services.database, run_id)
    found = map_scores.list_map_scores(services.database, run_id)
    return MapScoresReply(scores=[_describe(each, run) for each in found])


def _describe(record: MapScoreRecord, run: RunRecord) -> MapScoreReply:
    kind = run.spec["maps"][record.place]["map"]
    return MapScoreReply.model_validate(vars(record) | {"map": kind})
