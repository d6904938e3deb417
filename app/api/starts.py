"""Where a run started from: the error its initialization left, the widths of its layers.

Start with `read_error`.
"""

from __future__ import annotations

from fastapi import APIRouter

from app import reports
from app.api.access import RunId, ServicesHere
from app.api.refusals import NOT_FOUND, not_found
from app.api.replies import Reply
from app.reports import Lacking
from engine.initialize.error_report import Measure
from tasks.store import runs

router = APIRouter(tags=["recordings"])


class InitializationErrorReply(Reply):
    """Relative error of every iteration made, by layer.

    `measure` is "weights" for ‖W − Q − s·B·A‖ / ‖W‖, "outputs" for ‖(W − Q − s·B·A)·X‖ / ‖W·X‖ on
    the calibration text X. `mean` is the mean over layers of the best until each iteration; a layer
    may stop early.
    """

    measure: Measure
    mean: list[float]
    layers: dict[str, list[float]]


class LayerWidthsReply(Reply):
    """Bits by layer where they differ, and how they were chosen.

    `average` is the mean over weights; `scores` what each layer was measured to cost at each width,
    null where nothing was measured.
    """

    rule: str
    average: float
    layers: dict[str, int]
    scores: dict[str, dict[int, float]] | None


@router.get("/runs/{run_id}/initialization-error", responses=NOT_FOUND)
def read_error(run_id: RunId, services: ServicesHere) -> InitializationErrorReply:
    """Return what the initialization left of every layer; 404 where none is recorded."""
    runs.get_run(services.database, run_id)
    found = reports.read_errors(services, run_id)
    if isinstance(found, Lacking):
        raise not_found(found.sentence)
    return InitializationErrorReply.model_validate(found)


@router.get("/runs/{run_id}/layer-widths", responses=NOT_FOUND)
def read_widths(run_id: RunId, services: ServicesHere) -> LayerWidthsReply:
    """Return the widths of layers where they differ; 404 where none are recorded."""
    runs.get_run(services.database, run_id)
    found = reports.read_widths(services, run_id)
    if isinstance(found, Lacking):
        raise not_found(found.sentence)
    return LayerWidthsReply.model_validate(found)
