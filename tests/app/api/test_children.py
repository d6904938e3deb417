"""Promises of searching and evaluating ranks over REST."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.events import CandidateEvaluated
from tasks.lease import claim_run
from tasks.store.recording import Batch, write_batch
from tests.filled import Filled
from tests.tasks.builders import make_trained

QUIET = {"evaluation": {"benchmarks": []}}
TRIED = CandidateEvaluated((16, 8), 2400, "loss", 1.25, 0.1, 50, "lower", "median", 2.0)


@pytest.fixture
def parent(filled: Filled) -> int:
    """A finished run with elastic adapters in the store."""
    return make_trained(filled.services.database, filled.services.settings, **QUIET)


def test_a_search_and_an_evaluation_are_queued(client: TestClient, parent: int) -> None:
    """Both answer 201 with their address, and are the run's children, oldest first."""
    search = client.post(f"/api/v1/runs/{parent}/searches", json={}, params={"priority": 2})
    asked = {"ranks": "median", "evaluation": {"limit": 3}}
    evaluation = client.post(f"/api/v1/runs/{parent}/evaluations", json=asked)
    assert [search.status_code, evaluation.status_code] == [201, 201]
    body = client.get(search.headers["Location"]).json()
    assert (body["kind"], body["parent_id"], body["priority"]) == ("search", parent, 2)
    assert evaluation.json()["spec"]["ranks"] == [12] * 30
    children = client.get(f"/api/v1/runs/{parent}/children").json()["runs"]
    assert [child["id"] for child in children] == [body["id"], evaluation.json()["id"]]
    assert client.get(f"{search.headers['Location']}/spec.yaml").status_code == 200


@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("evaluations", {"ranks": [16] * 5}, "ranks"),
        ("evaluations", {}, "ranks"),
        ("searches", {"search": {"strategy": "guessing"}}, "search.strategy"),
        ("searches", {"objective": {"split": "test"}}, "objective.split"),
        ("searches", {"adapter": {"kind": "none"}}, "adapter"),
    ],
)
def test_a_bad_request_is_refused_at_its_field(
    client: TestClient, parent: int, *, address: str, body: dict[str, Any], field: str
) -> None:
    """Nothing is queued, and the answer names the field."""
    reply = client.post(f"/api/v1/runs/{parent}/{address}", json=body)
    assert (reply.status_code, reply.json()["problems"][0]["field"]) == (422, field)
    assert client.get(f"/api/v1/runs/{parent}/children").json()["runs"] == []


def test_wrong_runs_are_refused(client: TestClient, filled: Filled, parent: int) -> None:
    """No such run is 404, a run that is needed by another 409, other sites 403."""
    for address in ("searches", "evaluations"):
        assert client.post(f"/api/v1/runs/9999/{address}", json={}).status_code == 404
    for address in ("candidates", "children"):
        assert client.get(f"/api/v1/runs/9999/{address}").status_code == 404
    client.post(f"/api/v1/runs/{parent}/searches", json={})
    assert client.delete(f"/api/v1/runs/{parent}").status_code == 409
    stranger = {"sec-fetch-site": "cross-site"}
    reply = client.post(f"/api/v1/runs/{parent}/searches", json={}, headers=stranger)
    assert reply.status_code == 403


def test_candidates_say_which_nobody_beats(client: TestClient, filled: Filled, parent: int) -> None:
    """In order of evaluation, with the front marked and null for what is no number."""
    services = filled.services
    run_id = client.post(f"/api/v1/runs/{parent}/searches", json={}).json()["id"]
    held = claim_run(services.database, services.settings, "host/0", run_id=run_id)
    assert held is not None
    others = [
        replace(TRIED, ranks=(16, 16), adapter_parameters=3200, value=1.5),
        replace(TRIED, ranks=(8, 8), adapter_parameters=1600, value=math.nan),
    ]
    write_batch(services.database, held, Batch(candidates=[TRIED, *others]))
    found = client.get(f"/api/v1/runs/{run_id}/candidates").json()["candidates"]
    assert [row["ranks"] for row in found] == [[16, 8], [16, 16], [8, 8]]
    assert [row["is_on_front"] for row in found] == [True, False, False]
    assert (found[0]["value"], found[2]["value"]) == (1.25, None)


def test_each_kind_of_run_has_its_schema(client: TestClient) -> None:
    """The form of a search and of an evaluation are told like that of an experiment."""
    for kind, field in (("search", "objective"), ("evaluation", "ranks")):
        schema = client.get("/api/v1/schema", params={"kind": kind}).json()
        assert field in schema["properties"]
    assert client.get("/api/v1/schema", params={"kind": "dream"}).status_code == 422
