"""Puts the routes together into one application to be mounted at `/api/v1`.

Start with `build_api`.
"""

from __future__ import annotations

from fastapi import Depends, FastAPI

from app.api import (
    bit_maps,
    catalogue,
    children,
    layer_maps,
    leaderboard,
    map_evaluations,
    orders,
    published,
    recordings,
    runs,
    sensitivities,
    solving,
    starts,
)
from app.api.access import refuse_other_sites
from app.api.refusals import add_refusals
from app.services import Services

ADDRESS = "/api/v1"


def build_api(services: Services) -> FastAPI:
    """Build the REST application.

    Args:
        services: What the routes work with; stays open as long as the application.
    """
    api = FastAPI(
        title="Bitdial",
        version="1",
        description="Submit runs, watch them, compare them. The pages use nothing else.",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_other_sites)],
    )
    api.state.services = services
    rooms = (runs, orders, children, map_evaluations, layer_maps, recordings, starts, leaderboard)
    for room in (*rooms, sensitivities, solving, bit_maps, published, catalogue):
        api.include_router(room.router)
    add_refusals(api)
    return api
