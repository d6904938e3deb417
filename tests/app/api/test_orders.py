"""Promises of submitting and changing runs."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.specs.yaml_text import MAX_YAML_BYTES
from tests.filled import Filled

YAML = {"Content-Type": "application/yaml"}


def count_runs(client: TestClient) -> int:
    """Return how many runs there are."""
    return sum(client.get("/api/v1/runs").json()["counts"].values())


def test_json_and_yaml_become_the_same_run(client: TestClient) -> None:
    """The same request as JSON, YAML, or preset with overrides is the same spec."""
    by_json = client.post("/api/v1/runs", json={"preset": "rtn", "quantizer": {"bits": 5}})
    text = "preset: rtn\nquantizer: {bits: 5}\n"
    by_yaml = client.post("/api/v1/runs", content=text, headers=YAML)
    query = {"preset": "rtn", "set": "quantizer.bits=5"}
    by_query = client.post("/api/v1/runs", json={}, params=query)
    replies = [by_json, by_yaml, by_query]
    assert [reply.status_code for reply in replies] == [201, 201, 201]
    specs = [reply.json()["spec"] for reply in replies]
    assert specs[0] == specs[1] == specs[2]
    assert {reply.json()["preset"] for reply in replies} == {"rtn"}
    assert client.get(by_json.headers["Location"]).json()["state"] == "queued"


def test_priority_and_missing_baseline(client: TestClient) -> None:
    """A setting without a baseline gets one queued first, unless it is not wanted."""
    before = count_runs(client)
    values = {"preset": "rtn", "evaluation": {"max_length": 64}}
    query: dict[str, Any] = {"with_baseline": False, "priority": 7}
    alone = client.post("/api/v1/runs", json=values, params=query).json()
    assert (alone["priority"], count_runs(client)) == (7, before + 1)
    client.post("/api/v1/runs", json=values)
    assert count_runs(client) == before + 3


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({"preset": "rtn", "quantizer": {"bitz": 3}}, "quantizer.bitz", "bits"),
        ({"preset": "rtn", "quantizer": {"bits": 99}}, "quantizer.bits", "8"),
        ({"preset": "nothing"}, "preset", "rtn"),
        ({"preset": "rtn", "adapter": {"kind": "lora"}}, "training.method", "qat"),
        ({"preset": "rtn", "quantizer": {"group_size": 100}}, "quantizer.group_size", "divide"),
    ],
)
def test_bad_spec_names_field_and_what_would_do(
    client: TestClient, body: dict[str, Any], field: str, word: str
) -> None:
    """A spec that cannot be carried out is refused at its field, and nothing is queued."""
    before = count_runs(client)
    reply = client.post("/api/v1/runs", json=body)
    assert reply.status_code == 422
    problems = {problem["field"]: problem["message"] for problem in reply.json()["problems"]}
    assert word in problems[field]
    assert count_runs(client) == before


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"[1, 2]", "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"a: [", "application/yaml"),
        (b"just words", "application/yaml"),
        (b"x" * (MAX_YAML_BYTES + 1), "application/yaml"),
    ],
    ids=["half", "list", "empty", "bytes", "deep", "bad-yaml", "words", "large"],
)
def test_unreadable_body_is_one_sentence(client: TestClient, body: bytes, kind: str) -> None:
    """A body that is no spec at all is refused with a sentence."""
    reply = client.post("/api/v1/runs", content=body, headers={"Content-Type": kind})
    assert reply.status_code == 422
    assert reply.json()["message"]


def test_preview_changes_nothing_and_lists_problems(client: TestClient) -> None:
    """A preview gives the complete spec, or what is wrong with it, and queues nothing."""
    before = count_runs(client)
    good = client.post("/api/v1/runs/preview", json={"preset": "rtn"}).json()
    assert good["problems"] == []
    assert "bits: 4" in good["yaml"]
    assert good["spec"]["quantizer"]["bits"] == 4
    bad = client.post("/api/v1/runs/preview", json={"preset": "rtn", "seeed": 1}).json()
    assert [problem["field"] for problem in bad["problems"]] == ["seeed"]
    assert (bad["spec"], bad["yaml"]) == (None, "")
    assert count_runs(client) == before


def test_cancel_retry_delete_follow_the_states(client: TestClient, filled: Filled) -> None:
    """A queued run is cancelled at once, comes back by retry, and is gone after delete."""
    address = f"/api/v1/runs/{filled.samples.queued[0]}"
    assert client.post(f"{address}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{address}/cancel").status_code == 409
    assert client.post(f"{address}/retry").json()["state"] == "queued"
    assert client.post(f"{address}/retry").status_code == 409
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    assert client.delete(address).status_code == 404


def test_running_run_is_asked_to_stop_and_cannot_be_deleted(
    client: TestClient, filled: Filled
) -> None:
    """Cancelling a running run asks it to stop; deleting it is refused with what to do first."""
    address = f"/api/v1/runs/{filled.samples.running}"
    refused = client.delete(address)
    assert refused.status_code == 409
    assert "cancel it first" in refused.json()["message"]
    stopping = client.post(f"{address}/cancel").json()
    assert (stopping["state"], stopping["is_stopping"]) == ("running", True)
    assert "cancel" not in stopping["actions"]
