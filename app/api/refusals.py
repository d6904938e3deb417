"""Errors as answers: a status, one sentence, and the field where there is one.

Every refusal of the API has the same shape, `Refusal`. What went wrong is said by the error itself.
Start with `add_refusals`.
"""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as AnyHttpException

from engine.errors import BitdialError, Problem, SpecError
from tasks.errors import DraftNotFound, MapNotFound, RunNotFound, StoreUnavailable, WrongState


class ProblemReply(BaseModel):
    """One thing wrong with a request."""

    field: str = Field(description="Dotted path of the field; empty for the whole request.")
    message: str = Field(description="What is wrong and what would be accepted.")


class Refusal(BaseModel):
    """Why a request was not carried out."""

    message: str = Field(description="One sentence for a person.")
    problems: list[ProblemReply] = Field(default=[], description="Each finding with its field.")


NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "No such run"}}
REFUSED: dict[int | str, dict[str, Any]] = {422: {"model": Refusal, "description": "Bad request"}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Refusal, "description": "Wrong state"}}

_STATUS: tuple[tuple[type[BitdialError], int], ...] = (
    (RunNotFound, 404),
    (DraftNotFound, 404),
    (MapNotFound, 404),
    (WrongState, 409),
    (StoreUnavailable, 503),
    (SpecError, 422),
)


def add_refusals(api: FastAPI) -> None:
    """Make the application answer every error of ours as a `Refusal`."""
    api.add_exception_handler(BitdialError, _refuse_ours)
    api.add_exception_handler(RequestValidationError, _refuse_invalid)
    api.add_exception_handler(AnyHttpException, _refuse_http)


def find_status(error: BitdialError) -> int:
    """Return the HTTP status of an error: 4xx where the request is at fault."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 422 if error.kind in ("spec", "data") else 500


def not_found(sentence: str) -> HTTPException:
    """Build a 404 with its sentence."""
    return HTTPException(404, sentence)


async def _refuse_ours(request: Request, error: Exception) -> Response:
    del request
    ours = cast(BitdialError, error)
    found = ours.problems if isinstance(ours, SpecError) else ()
    if not found and ours.field:
        found = (Problem(ours.field, str(ours)),)
    return _answer(find_status(ours), str(ours), found)


async def _refuse_invalid(request: Request, error: Exception) -> Response:
    del request
    invalid = cast(RequestValidationError, error)
    found = tuple(_read_finding(item) for item in invalid.errors())
    return _answer(422, "; ".join(map(str, found)), found)


async def _refuse_http(request: Request, error: Exception) -> Response:
    answer = cast(AnyHttpException, error)
    sentence = str(answer.detail)
    if sentence == "Not Found":
        sentence = f"there is nothing at {request.url.path}; see /api/v1/openapi.json"
    return _answer(answer.status_code, sentence, ())


def _read_finding(item: Any) -> Problem:
    message = str(item["msg"])
    given = item.get("input")
    shown = f", not {str(given)[:60]!r}" if isinstance(given, str | int | float) else ""
    return Problem(str(item["loc"][-1]), message[:1].lower() + message[1:] + shown)


def _answer(status: int, sentence: str, found: tuple[Problem, ...]) -> Response:
    problems = [ProblemReply(field=item.field, message=item.message) for item in found]
    return JSONResponse(Refusal(message=sentence, problems=problems).model_dump(), status)
