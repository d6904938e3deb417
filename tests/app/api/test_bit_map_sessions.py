"""Promises of edits that a page numbers: each is done once, however often and late it arrives."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.bit_map_samples import add_bit_map
from tests.filled import Filled

ADDRESS = "/api/v1/bit-maps"
START = 4


@pytest.fixture
def opened(client: TestClient, filled: Filled) -> str:
    """The address of a new map's edits."""
    scored = add_bit_map(filled.services.desk, num_blocks=4)
    made = client.post(ADDRESS, json={"sensitivity": scored.sensitivity}).json()
    assert set(made["state"]["bits"]) == {START}
    return f"{ADDRESS}/{made['id']}/edits"


def send(client: TestClient, address: str, first: int, *bits: int, session: str = "page") -> Any:
    """Give all layers a width, one edit each, numbered from `first`; returns what they have."""
    edits = [{"edit": "set", "pattern": "*", "bits": each} for each in bits]
    reply = client.post(
        address,
        json={
            "revision": 1, "client": "tab", "session": session, "sequence": first, "edits": edits,
        },
    )  # fmt: skip
    assert reply.status_code == 200, reply.text
    return reply.json()["bits"][0]


def test_an_edit_that_comes_again_late_changes_nothing(client: TestClient, opened: str) -> None:
    """The newest edit stands, whichever of two requests with the same edit is carried out first."""
    assert send(client, opened, 1, 3) == 3
    assert send(client, opened, 1, 3, 8) == 8
    assert send(client, opened, 1, 3) == 8
    assert send(client, opened, 3, 6, 2) == 2
    assert send(client, opened, 3, 6) == 2
    assert send(client, opened, 5, 8) == 8


def test_what_came_to_nothing_was_done_too(client: TestClient, opened: str) -> None:
    """Edits that together leave the map as it was are not begun anew by a late one of them."""
    assert send(client, opened, 1, 3, START) == START
    assert send(client, opened, 1, 3) == START


def test_pages_count_apart(client: TestClient, opened: str) -> None:
    """Another page's numbers begin at 1 again; who gives no numbers is always heard."""
    assert send(client, opened, 1, 3, 6) == 6
    assert send(client, opened, 1, 8, session="other") == 8
    for bits in (2, 3):
        edit = {"edit": "set", "pattern": "*", "bits": bits}
        body = {"revision": 1, "client": "tab", "edits": [edit]}
        assert client.post(opened, json=body).json()["bits"][0] == bits


def test_an_undo_that_comes_again_is_one_undo(client: TestClient, opened: str) -> None:
    """Without knowing whether it arrived, a page may send it again."""
    assert send(client, opened, 1, 3) == 3
    assert send(client, opened, 2, 8) == 8
    undo = {"revision": 1, "client": "tab", "edits": [{"edit": "undo"}]}
    undo |= {"session": "page", "sequence": 3}
    for _ in range(2):
        assert client.post(opened, json=undo).json()["bits"][0] == 3


def test_a_refused_request_was_not_done(client: TestClient, opened: str) -> None:
    """Its numbers are free: nothing of it was carried out."""
    bad = {"edit": "solve", "budget": {"amount": 0.01, "unit": "bits"}}
    body = {"revision": 1, "client": "tab", "session": "page", "sequence": 1, "edits": [bad]}
    assert client.post(opened, json=body).status_code == 422
    assert send(client, opened, 1, 3) == 3


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ({"session": "page"}, "sequence"),
        ({"sequence": 1}, "session"),
        ({"session": "", "sequence": 1}, "session"),
        ({"session": "page", "sequence": 0}, "sequence"),
        ({"session": "page", "sequence": True}, "sequence"),
        ({"session": "page", "sequence": 10**12}, "sequence"),
    ],
)
def test_bad_numbers_are_refused(
    client: TestClient, opened: str, numbers: dict[str, Any], field: str
) -> None:
    """A page's word and the number come together, the number from 1 up."""
    body = {"revision": 1, "edits": [{"edit": "undo"}], **numbers}
    reply = client.post(opened, json=body)
    assert reply.status_code == 422
    assert [problem["field"] for problem in reply.json()["problems"]] == [field]
