"""Numbers that others have published, for reference. Start with `list_published`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from app.api.replies import Reply
from app.tables.published import PUBLISHED, SOURCE

router = APIRouter(tags=["leaderboard"])


class PublishedScoreReply(Reply):
    """A printed number: `bits` are nominal, `error` is what stands behind ±, or null."""

    model: str
    method: str
    bits: float
    rank: int | None
    benchmark: str
    metric: str
    value: float
    error: float | None
    direction: Literal["lower", "higher"]
    table: str


class PublishedReply(Reply):
    """Published numbers and where they are printed; no run of this store is among them."""

    source: str
    scores: list[PublishedScoreReply]


@router.get("/published")
def list_published() -> PublishedReply:
    """List what was published of other models, in the units of our own scores."""
    scores = [PublishedScoreReply.model_validate(score) for score in PUBLISHED]
    return PublishedReply(source=SOURCE, scores=scores)
