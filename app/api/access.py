"""What every route needs: the services, a run's id, and who may change things.

Start with `ServicesHere` and `RunId`.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, HTTPException, Path, Request

from app.services import Services
from tasks.store.records import LARGEST_ID

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def find_services(request: Request) -> Services:
    """Return the services this application was built with."""
    return cast(Services, request.app.state.services)


def refuse_other_sites(request: Request) -> None:
    """Refuse a change that a page of another site asked the visitor's browser to make.

    Raises:
        HTTPException: 403 where the browser says that the request comes from elsewhere.
    """
    origin = request.headers.get("sec-fetch-site", "none")
    if request.method not in _READING and origin not in ("same-origin", "none"):
        raise HTTPException(403, "this request comes from another site; open Bitdial itself")


ServicesHere = Annotated[Services, Depends(find_services)]
RunId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The run's number.")]
