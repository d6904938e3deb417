"""A run's layer map as a file. Which layer has which width is told by `tasks.layer_maps`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from app.api.access import RunId, ServicesHere
from app.api.refusals import CONFLICT, NOT_FOUND, REFUSED
from engine.layer_maps.catalogue import FORMATS
from engine.layer_maps.layer_map import FormatName
from engine.layer_maps.reading import write_map
from tasks.layer_maps import get_layer_map

router = APIRouter(tags=["maps"])
Format = Annotated[
    FormatName, Query(alias="format", description="Bitdial's YAML, or QaLoF's JSON.")
]
Label = Annotated[
    str | None,
    Query(alias="map", max_length=200, description="Which map of an evaluation of maps."),
]


@router.get(
    "/runs/{run_id}/layer-map",
    responses=NOT_FOUND | REFUSED | CONFLICT,
    response_class=Response,
)
def read_layer_map(
    run_id: RunId, services: ServicesHere, *, format_: Format = "bitdial", label: Label = None
) -> Response:
    """Return the width of every quantized layer, as text that evaluations and runs take."""
    text = write_map(get_layer_map(services.desk, run_id, label=label), format_name=format_)
    suffix = FORMATS[format_].suffix
    headers = {"Content-Disposition": f'attachment; filename="run-{run_id}-layer-map{suffix}"'}
    return Response(text, media_type=f"application/{suffix[1:]}", headers=headers)
