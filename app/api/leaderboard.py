"""The leaderboard as JSON, CSV and Markdown, all of one view. Start with `read_leaderboard`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse, Response

from app.api.access import ServicesHere
from app.api.refusals import REFUSED
from app.api.replies import Reply
from app.tables.leaderboard import Group, View, arrange
from app.tables.writing import write_csv, write_markdown
from tasks.store import leaderboard

router = APIRouter(tags=["leaderboard"], responses=REFUSED)


class ColumnReply(Reply):
    """A column; `shown` says whether it is shown before anybody chooses."""

    id: str
    title: str
    unit: str
    description: str
    align: str
    shown: bool


class CellReply(Reply):
    """A cell: the raw value and how it reads."""

    value: str | float | None
    text: str
    note: str
    tone: str
    error: float | None
    num_samples: int | None


class RowReply(Reply):
    """A run; badges are a word and the sentence that explains it."""

    run_id: int
    is_baseline: bool
    badges: list[tuple[str, str]]
    cells: dict[str, CellReply]


class PublishedRowReply(Reply):
    """What others published of another model; `title` says where it is printed."""

    name: str
    title: str
    cells: dict[str, CellReply]


class GroupReply(Reply):
    """Runs of one model and evaluation setting, which alone can be compared.

    `note` says why there is no baseline among them.
    """

    key: str
    title: str
    columns: list[ColumnReply]
    rows: list[RowReply]
    num_hidden: int
    note: str
    published: list[PublishedRowReply]


class LeaderboardReply(Reply):
    """All groups; the one with the newest run first."""

    groups: list[GroupReply]


def read_view(
    *,
    sort: Annotated[str, Query(max_length=300, description="Column id; - in front reverses.")] = "",
    search: Annotated[str, Query(max_length=200)] = "",
    min_bits: Annotated[float | None, Query(ge=0, le=64)] = None,
    max_bits: Annotated[float | None, Query(ge=0, le=64)] = None,
    columns: Annotated[str, Query(max_length=4000, description="Ids with commas between.")] = "",
    published: Annotated[
        Literal["yes", "no", ""], Query(description="Numbers of others under the runs.")
    ] = "",
) -> View:
    """Read from the query what to show."""
    chosen = tuple(part for part in columns.split(",") if part)
    return View(
        sort,
        search,
        min_bits=min_bits,
        max_bits=max_bits,
        columns=chosen,
        published=published != "no",
    )


ViewHere = Annotated[View, Depends(read_view)]


def list_groups(services: ServicesHere, view: ViewHere) -> tuple[Group, ...]:
    """Read the store and arrange it."""
    return arrange(leaderboard.list_rows(services.database), view)


GroupsHere = Annotated[tuple[Group, ...], Depends(list_groups)]


@router.get("/leaderboard")
def read_leaderboard(groups: GroupsHere) -> LeaderboardReply:
    """Return finished runs, baselines first, filtered and sorted."""
    return LeaderboardReply(groups=[GroupReply.model_validate(group) for group in groups])


@router.get("/leaderboard.csv", response_class=Response)
def read_csv(groups: GroupsHere, view: ViewHere) -> Response:
    """Return the same as a CSV file."""
    headers = {"Content-Disposition": 'attachment; filename="bitdial-leaderboard.csv"'}
    text = "\ufeff" + write_csv(groups, view)
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/leaderboard.md", response_class=PlainTextResponse)
def read_markdown(groups: GroupsHere, view: ViewHere) -> Response:
    """Return the same as Markdown tables."""
    headers = {"Content-Disposition": 'attachment; filename="bitdial-leaderboard.md"'}
    text = write_markdown(groups, view)
    return Response(text, media_type="text/markdown; charset=utf-8", headers=headers)
