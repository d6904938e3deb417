"""Layer maps that people edit: opening, editing, solving, measuring, training from one.

What each does is decided in `tasks.bit_map`; here it gets an address. Start with `edit_map`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from app.api.access import ServicesHere
from app.api.bit_map_bodies import OPENAPI_EDITS, OPENAPI_NAME, OPENAPI_OPEN, OPENAPI_PRESET
from app.api.bit_map_replies import (
    BitMapListReply,
    BitMapReply,
    DifferenceReply,
    DraftReply,
    FrontierReply,
    SolutionReply,
    StateReply,
    VerifyReply,
)
from app.api.bit_map_views import describe_item, describe_map, describe_solution, describe_state
from app.api.bodies import AskedValues
from app.api.refusals import CONFLICT, REFUSED, Refusal
from engine.layer_maps.catalogue import FORMATS
from engine.layer_maps.layer_map import FormatName
from tasks.bit_map.changing import change_map
from tasks.bit_map.checking import verify
from tasks.bit_map.files import write_file
from tasks.bit_map.launching import make_draft
from tasks.bit_map.numbers import read_budget, read_name, read_number
from tasks.bit_map.opening import open_map
from tasks.bit_map.reading import refuse_unknown
from tasks.bit_map.versions import Versions, compare
from tasks.bit_map.viewing import open_workplace, try_budget, view_frontier, view_state
from tasks.store import bit_maps
from tasks.store.bit_map_news import is_known
from tasks.store.bit_map_versions import add_version, list_versions
from tasks.store.records import LARGEST_ID

NO_MAP: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "No such map"}}
ASKED = NO_MAP | REFUSED
router = APIRouter(prefix="/bit-maps", tags=["bit maps"])
MapId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The map's number.")]
After = Annotated[
    int | None, Query(ge=0, le=LARGEST_ID, description="The revision that is known already.")
]
BeforeId = Annotated[
    int | None, Query(ge=1, le=LARGEST_ID, description="The last map of the page before.")
]
Limit = Annotated[int, Query(ge=1, le=bit_maps.MAX_LISTED, description="Maps of a page.")]
Amount = Annotated[float, Query(description="How much of the unit.")]
Unit = Annotated[str, Query(max_length=20, description="mib, model-mib, bits or percent.")]
WHICH = "A version's number; the map as it is where empty."
Format = Annotated[FormatName, Query(alias="format", description="The format of the file.")]


@router.post("", status_code=201, responses=ASKED | CONFLICT, openapi_extra=OPENAPI_OPEN)
def open_bit_map(values: AskedValues, services: ServicesHere, response: Response) -> BitMapReply:
    """Open a map from a sensitivity run, a run's widths, a model or a file."""
    opened = open_map(services.desk, values)
    response.headers["Location"] = f"/api/v1/bit-maps/{opened.record.id}"
    return describe_map(services.desk, opened.record.id, note=opened.note)


@router.get("")
def list_bit_maps(
    services: ServicesHere, *, before_id: BeforeId = None, limit: Limit = bit_maps.MAX_LISTED
) -> BitMapListReply:
    """List maps, the one changed last first."""
    found = bit_maps.list_maps(services.database, before_id=before_id, limit=limit + 1)
    page, has_more = found[:limit], len(found) > limit
    return BitMapListReply(
        maps=[describe_item(each) for each in page],
        next_before_id=page[-1].id if has_more else None,
    )


@router.get("/{map_id}", responses=NO_MAP)
def read_bit_map(map_id: MapId, services: ServicesHere) -> BitMapReply:
    """Return a map with its layers, scores and state; also where its model or scores are gone."""
    return describe_map(services.desk, map_id)


@router.delete("/{map_id}", status_code=204, responses=NO_MAP)
def delete_bit_map(map_id: MapId, services: ServicesHere) -> Response:
    """Delete a map with its history and versions; runs that came of it stay."""
    bit_maps.delete_map(services.database, map_id)
    return Response(status_code=204)


@router.post("/{map_id}/edits", responses=ASKED, openapi_extra=OPENAPI_EDITS)
def edit_map(map_id: MapId, values: AskedValues, services: ServicesHere) -> StateReply:
    """Change a map; the edits of one request are one step of undo.

    What another client changed since `revision` is left as it is, and told in `note`.
    """
    note = change_map(services.desk, map_id, values)
    return describe_state(view_state(services.desk, map_id, note=note))


@router.get("/{map_id}/state", responses=NO_MAP)
def read_state(map_id: MapId, services: ServicesHere, after: After = None) -> StateReply | None:
    """Return what edits change; null where there is nothing newer than `after`.

    Scores and measurements that ended are told for half a minute: leave `after` out if you asked
    longer ago.
    """
    if after is not None and is_known(services.database, map_id, after):
        return None
    return describe_state(view_state(services.desk, map_id))


@router.get("/{map_id}/solution", responses=ASKED)
def read_solution(
    map_id: MapId, services: ServicesHere, amount: Amount, unit: Unit = "bits"
) -> SolutionReply:
    """Return the best map of a budget; nothing is stored."""
    budget = read_budget({"amount": amount, "unit": unit}, "budget")
    return describe_solution(try_budget(services.desk, map_id, budget))


@router.get("/{map_id}/frontier", responses=ASKED)
def read_frontier(map_id: MapId, services: ServicesHere) -> FrontierReply:
    """Return every size worth having and its predicted loss, under the map's pins and limits."""
    return FrontierReply.model_validate(view_frontier(services.desk, map_id))


@router.post("/{map_id}/versions", status_code=201, responses=ASKED, openapi_extra=OPENAPI_NAME)
def keep_version(map_id: MapId, values: AskedValues, services: ServicesHere) -> StateReply:
    """Give the map as it is a name."""
    refuse_unknown(values, ("name",))
    add_version(services.database, map_id, read_name(values.get("name"), "name"))
    return describe_state(view_state(services.desk, map_id))


@router.get("/{map_id}/difference", responses=ASKED)
def read_difference(
    map_id: MapId,
    services: ServicesHere,
    from_: Annotated[str, Query(alias="from", max_length=20, description=WHICH)] = "",
    to: Annotated[str, Query(max_length=20, description=WHICH)] = "",
) -> DifferenceReply:
    """Return what differs from one version to another."""
    place = open_workplace(services.desk, map_id)
    versions = Versions(list_versions(services.database, map_id))
    before, after = (
        versions.get(read_number(number, field), field) if number else place.content
        for number, field in ((from_, "from"), (to, "to"))
    )
    return DifferenceReply.model_validate(compare(before, after, place.ground))


@router.get("/{map_id}/file", responses=ASKED, response_class=Response)
def read_file(map_id: MapId, services: ServicesHere, *, format_: Format = "bitdial") -> Response:
    """Return the width of every layer as a file."""
    place = open_workplace(services.desk, map_id)
    text = write_file(place.content, place.ground, format_)
    suffix = FORMATS[format_].suffix
    headers = {"Content-Disposition": f'attachment; filename="bit-map-{map_id}{suffix}"'}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


@router.post("/{map_id}/verify", status_code=201, responses=ASKED)
def verify_map(map_id: MapId, services: ServicesHere) -> VerifyReply:
    """Queue the measurement of the map as it is, with what is predicted of it kept beside."""
    return VerifyReply(run=verify(services.desk, map_id))


@router.post("/{map_id}/draft", status_code=201, responses=ASKED, openapi_extra=OPENAPI_PRESET)
def draft_run(map_id: MapId, values: AskedValues, services: ServicesHere) -> DraftReply:
    """Begin a form that trains from this map with a preset."""
    refuse_unknown(values, ("preset",))
    found = make_draft(services.desk, map_id, values.get("preset"))
    return DraftReply(draft=found.draft_id, url=f"/new?draft={found.draft_id}", note=found.note)
