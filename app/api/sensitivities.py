"""Sensitivity runs: asking for one, its scores, who agrees, what its layers look like.

What is accepted is decided in `tasks.submit`; here it gets an address. Start with
`score_units`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import Field

from app import reports
from app.api.access import RunId, ServicesHere
from app.api.bodies import OPENAPI_SENSITIVITY, AskedValues
from app.api.orders import Overrides, Priority
from app.api.refusals import CONFLICT, NOT_FOUND, REFUSED, not_found
from app.api.replies import PreviewReply, Reply, RunDetailReply
from app.api.runs import read_detail
from app.reports import Lacking
from engine.errors import SpecError
from engine.sensitivity.layer_facts import LayerFact
from tasks import submit
from tasks.agreements import list_agreements
from tasks.prediction import describe_estimate
from tasks.scored_units import read_units
from tasks.store import runs

router = APIRouter(tags=["sensitivity"], responses=NOT_FOUND)
Score = tuple[float | None, float | None, int]
Layer = Annotated[str, Query(max_length=300, description="Name of the layer.")]
Metric = Annotated[
    str | None, Query(max_length=80, description="Which of the run's metrics; divergence if any.")
]


class ScoringPreviewReply(PreviewReply):
    """What a sensitivity run would be; `num_scores` is how many units times widths."""

    num_scores: int | None


class UnitReply(Reply):
    """A unit and what it loses: value, standard error and sample count by metric and width.

    `block` is that of all its layers, null where there is none; `kind` the last part of their names
    where they have it in common, else "". A value is null where it is no finite number.
    """

    unit: str
    layers: list[str]
    block: int | None
    kind: str
    scores: dict[str, dict[int, Score]]


class SensitivityReply(Reply):
    """What has been scored so far, in the model's order.

    `value` of a score is what is lost against the start map: positive where the width is worse.
    `note` says what is missing.
    """

    unit: Literal["layer", "block", "kind"]
    method: str
    metrics: list[str]
    widths: list[int]
    units: list[UnitReply]
    is_complete: bool
    note: str


class WidthAgreementReply(Reply):
    """Spearman's rank correlation at a width with its 95 % interval; over all where it is null.

    `reason` says why there is none.
    """

    bits: int | None
    correlation: float | None
    low: float | None
    high: float | None
    num_units: int
    reason: str


class RunAgreementReply(Reply):
    """How far another run of the same question agrees, and what that means."""

    run: int
    method: str
    metric: str
    agreements: list[WidthAgreementReply]
    sentence: str


class AgreementReply(Reply):
    """Every comparable run, the newest first."""

    runs: list[RunAgreementReply]


class LayerFactsReply(Reply):
    """What a layer's weights look like before rounding."""

    layer: str
    facts: LayerFact = Field(description="Ranges, histogram, and rounding error by width.")


@router.post(
    "/sensitivities",
    status_code=201,
    responses=REFUSED | CONFLICT,
    openapi_extra=OPENAPI_SENSITIVITY,
)
def score_units(
    values: AskedValues,
    services: ServicesHere,
    response: Response,
    *,
    overrides: Overrides = None,
    priority: Priority = 0,
) -> RunDetailReply:
    """Queue a sensitivity run, of a model or of a `parent`; `Location` has its address."""
    run = submit.submit_sensitivity(
        services.desk, values, overrides=overrides or (), priority=priority
    )
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return read_detail(run, services)


@router.post(
    "/sensitivities/preview", responses=REFUSED | CONFLICT, openapi_extra=OPENAPI_SENSITIVITY
)
def preview_scoring(
    values: AskedValues, services: ServicesHere, *, overrides: Overrides = None
) -> ScoringPreviewReply:
    """Say what a request would become or what is wrong with it; nothing is queued."""
    try:
        found = submit.preview_sensitivity(services.desk, values, overrides=overrides or ())
    except SpecError as error:
        problems = [{"field": item.field, "message": item.message} for item in error.problems]
        return ScoringPreviewReply(
            spec=None, preset=None, yaml="", estimate=None, problems=problems, num_scores=None
        )
    return ScoringPreviewReply(
        spec=found.spec.model_dump(mode="json"),
        preset=None,
        yaml=found.yaml,
        estimate=describe_estimate(found.spec, found.estimate),
        problems=[],
        num_scores=found.num_scores,
    )


@router.get("/runs/{run_id}/sensitivity", responses=REFUSED)
def read_sensitivity(run_id: RunId, services: ServicesHere) -> SensitivityReply:
    """Return what a sensitivity run has scored so far."""
    return SensitivityReply.model_validate(read_units(services.desk, run_id))


@router.get("/runs/{run_id}/agreement", responses=REFUSED)
def read_agreement(
    run_id: RunId, services: ServicesHere, *, metric: Metric = None
) -> AgreementReply:
    """Compare a sensitivity run with every run that answers the same question."""
    found = list_agreements(services.desk, run_id, metric)
    return AgreementReply(
        runs=[
            RunAgreementReply(
                run=each.run.id,
                method=each.method,
                metric=each.metric,
                agreements=[WidthAgreementReply.model_validate(one) for one in each.agreements],
                sentence=each.sentence,
            )
            for each in found
        ]
    )


@router.get("/runs/{run_id}/layer-facts")
def read_facts(run_id: RunId, services: ServicesHere, *, layer: Layer) -> LayerFactsReply:
    """Return what a sensitivity run saw of one layer; 404 where it saw none of that name."""
    runs.get_run(services.database, run_id)
    found = reports.read_facts(services, run_id)
    if isinstance(found, Lacking):
        raise not_found(found.sentence)
    if layer not in found.layers:
        example = next(iter(found.layers), "")
        raise not_found(f"run {run_id} saw no layer {layer!r}; its layers are named like {example}")
    return LayerFactsReply(layer=layer, facts=found.layers[layer])
