"""What a run recorded: curves, log, scores, files. Start with `read_metrics`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse

from app.api.access import RunId, ServicesHere
from app.api.refusals import NOT_FOUND, not_found
from app.api.replies import (
    FileReply,
    FilesReply,
    LogLineReply,
    LogReply,
    MetricsReply,
    ScoreReply,
    ScoresReply,
    SeriesReply,
)
from app.plots import training_curves
from app.reports import find_inside
from tasks.store import files, logs, measurements, runs
from tasks.store.records import LARGEST_ID, TERMINAL_STATES, FileRecord

router = APIRouter(tags=["recordings"])
LARGEST_LINE = 2**63 - 1
Keys = Annotated[list[str] | None, Query(max_length=200, description="Only these; repeatable.")]
AfterStep = Annotated[int | None, Query(ge=-1, le=LARGEST_ID, description="Only later steps.")]
AfterId = Annotated[int, Query(ge=0, le=LARGEST_LINE, description="Only later lines.")]
FileId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The file's number, as listed.")]
Level = Annotated[str | None, Query(pattern="^(debug|info|warning|error)$")]
Limit = Annotated[int, Query(ge=1, le=5000)]


@router.get("/runs/{run_id}/metrics", responses=NOT_FOUND)
def read_metrics(
    run_id: RunId, services: ServicesHere, keys: Keys = None, after_step: AfterStep = None
) -> MetricsReply:
    """Return the curves, every point."""
    runs.get_run(services.database, run_id)
    chosen = tuple(keys) if keys else None
    found = measurements.list_series(services.database, run_id, keys=chosen, after_step=after_step)
    return MetricsReply(series=[SeriesReply.model_validate(series) for series in found])


@router.get("/runs/{run_id}/figures/training", responses=NOT_FOUND)
def read_training_figure(
    run_id: RunId, services: ServicesHere, *, log_scale: bool = False
) -> dict[str, Any]:
    """Return the training curves as a Plotly figure, and whether it will change no more."""
    run = runs.get_run(services.database, run_id)
    series = measurements.list_series(services.database, run_id)
    curves = training_curves.read_curves(run, series)
    return {
        "figure": training_curves.draw(curves, log_scale=log_scale),
        "done": run.state in TERMINAL_STATES,
    }


@router.get("/runs/{run_id}/log", responses=NOT_FOUND)
def read_log(
    run_id: RunId,
    services: ServicesHere,
    *,
    after_id: AfterId = 0,
    level: Level = None,
    limit: Limit = 500,
) -> LogReply:
    """Return log lines after `after_id`, oldest first."""
    run = runs.get_run(services.database, run_id)
    lines = logs.list_log_lines(
        services.database, run_id, after_id=after_id, level=level, limit=limit
    )
    return LogReply(
        lines=[LogLineReply.model_validate(line) for line in lines],
        last_id=lines[-1].id if lines else after_id,
        is_ended=run.state in TERMINAL_STATES and len(lines) < limit,
    )


@router.get("/runs/{run_id}/scores", responses=NOT_FOUND)
def read_scores(run_id: RunId, services: ServicesHere) -> ScoresReply:
    """Return what was measured."""
    runs.get_run(services.database, run_id)
    found = measurements.list_scores(services.database, run_id)
    return ScoresReply(scores=[ScoreReply.model_validate(score) for score in found])


@router.get("/runs/{run_id}/files", responses=NOT_FOUND)
def read_files(run_id: RunId, services: ServicesHere) -> FilesReply:
    """List the run's files with size and SHA-256."""
    runs.get_run(services.database, run_id)
    found = files.list_files(services.database, run_id)
    return FilesReply(files=[_describe(record) for record in found])


@router.get("/runs/{run_id}/files/{file_id}", responses=NOT_FOUND, response_class=FileResponse)
def download_file(
    run_id: RunId,
    file_id: FileId,
    services: ServicesHere,
) -> FileResponse:
    """Return one file's bytes."""
    records = files.list_files(services.database, runs.get_run(services.database, run_id).id)
    record = next((record for record in records if record.id == file_id), None)
    if record is None:
        raise not_found(f"run {run_id} has no file {file_id}; see /api/v1/runs/{run_id}/files")
    path = find_inside(services.settings.data_folder, record.path)
    if path is None:
        raise not_found(f"{record.path} is recorded, but no longer in the data folder")
    return FileResponse(path, filename=path.name, media_type="application/octet-stream")


def download_address(record: FileRecord) -> str:
    """Return where a file's bytes are."""
    return f"/api/v1/runs/{record.run_id}/files/{record.id}"


def _describe(record: FileRecord) -> FileReply:
    return FileReply(
        id=record.id,
        kind=record.kind,
        path=record.path,
        size_bytes=record.size_bytes,
        sha256=record.sha256,
        attempt=record.attempt,
        download=download_address(record),
    )
