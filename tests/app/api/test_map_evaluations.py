"""Promises of measuring a run at many layer maps over REST."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.events import MapScored
from tasks.lease import claim_run
from tasks.store.recording import Batch, write_batch
from tests.filled import Filled
from tests.tasks.builders import make_trained

SCORED = MapScored(0, "8 bits", 8.0, 8.5, "text/x", "perplexity", 12.5, 0.25, 100, "lower")
MAPS = [{"map": "uniform", "bits": 8}, {"map": "random", "widths": [8, 4]}]


@pytest.fixture
def parent(filled: Filled) -> int:
    """A finished run in the store."""
    quiet: dict[str, Any] = {"preset": "qat-lora", "evaluation": {"benchmarks": []}}
    services = filled.services
    return make_trained(services.database, services.settings, files=("result",), **quiet)


def test_an_evaluation_of_maps_is_queued(client: TestClient, parent: int) -> None:
    """It answers 201 with its address, and is the run's child; its spec is a file like others."""
    reply = client.post(
        f"/api/v1/runs/{parent}/map-evaluations", json={"maps": MAPS}, params={"priority": 2}
    )
    assert reply.status_code == 201
    body = client.get(reply.headers["Location"]).json()
    assert (body["kind"], body["parent_id"], body["priority"]) == ("map-evaluation", parent, 2)
    assert [each["map"] for each in body["spec"]["maps"]] == ["uniform", "random"]
    children = client.get(f"/api/v1/runs/{parent}/children").json()["runs"]
    assert [child["id"] for child in children] == [body["id"]]
    assert "maps:" in client.get(f"{reply.headers['Location']}/spec.yaml").text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "maps"),
        ({"maps": [{"map": "uniform", "bits": 1}]}, "maps.0.bits"),
        ({"maps": [{"map": "layers", "name": "a", "layer_bits": ["*.mlp.x=4"]}]}, "maps"),
        ({"maps": MAPS, "attack": {"attack": "gbda"}}, "attack.attack"),
        ({"maps": MAPS, "training": {}}, "training"),
        ({"maps": MAPS, "parent": 9999}, "parent"),
    ],
)
def test_a_bad_request_is_refused_at_its_field(
    client: TestClient, parent: int, body: dict[str, Any], field: str
) -> None:
    """Nothing is queued, and the answer names the field."""
    reply = client.post(f"/api/v1/runs/{parent}/map-evaluations", json=body)
    assert (reply.status_code, reply.json()["problems"][0]["field"]) == (422, field)
    assert client.get(f"/api/v1/runs/{parent}/children").json()["runs"] == []


def test_nothing_is_told_of_one_width(client: TestClient, parent: int) -> None:
    """It measures at many: the run has no bits, and its estimate no size."""
    asked = {"maps": MAPS, "parent": parent}
    body = client.post(f"/api/v1/runs/{parent}/map-evaluations", json=asked).json()
    assert body["bits"] is None
    assert not {"total_bytes", "original_bytes", "effective_bits", "size_parts"} & set(
        body["estimate"]
    )
    assert {"peak_memory_bytes", "seconds"} <= set(body["estimate"])
    assert client.get(f"/api/v1/runs/{parent}").json()["bits"] == 3


def test_a_preview_queues_nothing(client: TestClient, parent: int) -> None:
    """It answers the complete spec and the estimate, or what is wrong, field by field."""
    address = f"/api/v1/runs/{parent}/map-evaluations/preview"
    seen = client.post(address, json={"maps": MAPS}).json()
    assert (seen["spec"]["parent"], seen["problems"]) == (parent, [])
    assert seen["estimate"]["seconds_parts"]["maps"] > 0
    assert "maps:" in seen["yaml"]
    wrong = client.post(address, json={"maps": MAPS, "attack": {"attack": "gbda"}}).json()
    assert wrong["spec"] is None
    assert [each["field"] for each in wrong["problems"]] == ["attack.attack"]
    assert client.get(f"/api/v1/runs/{parent}/children").json()["runs"] == []
    assert client.post("/api/v1/runs/9999/map-evaluations/preview", json={}).status_code == 404


def test_scores_may_be_no_number(client: TestClient) -> None:
    """The description of the interface says that a score can be null."""
    described = client.get("/api/v1/openapi.json").json()["components"]["schemas"]["MapScoreReply"]
    assert {"type": "null"} in described["properties"]["value"]["anyOf"]


def test_wrong_runs_are_refused(client: TestClient, filled: Filled) -> None:
    """No such run is 404, one that has not succeeded 409."""
    asked = {"maps": MAPS}
    assert client.post("/api/v1/runs/9999/map-evaluations", json=asked).status_code == 404
    assert client.get("/api/v1/runs/9999/map-scores").status_code == 404
    failed = client.post(f"/api/v1/runs/{filled.samples.failed}/map-evaluations", json=asked)
    assert failed.status_code == 409
    assert "is failed; maps are measured on runs that succeeded" in failed.json()["message"]


def test_scores_are_told_while_it_runs(client: TestClient, filled: Filled, parent: int) -> None:
    """Each with the kind of its map, in order, null for what is no number; other runs have none."""
    services = filled.services
    asked = {"maps": MAPS}
    run_id = client.post(f"/api/v1/runs/{parent}/map-evaluations", json=asked).json()["id"]
    held = claim_run(services.database, services.settings, "host/0", run_id=run_id)
    assert held is not None
    drawn = replace(SCORED, place=1, label="random 8, 4", bits=6.0, value=math.nan)
    write_batch(services.database, held, Batch(map_scores=[drawn, SCORED]))
    found = client.get(f"/api/v1/runs/{run_id}/map-scores").json()["scores"]
    assert [(each["place"], each["map"], each["label"]) for each in found] == [
        (0, "uniform", "8 bits"),
        (1, "random", "random 8, 4"),
    ]
    assert found[0] == {
        "place": 0, "label": "8 bits", "map": "uniform", "bits": 8.0, "effective_bits": 8.5,
        "benchmark": "text/x", "metric": "perplexity", "value": 12.5, "standard_error": 0.25,
        "num_samples": 100, "direction": "lower", "limited": False,
    }  # fmt: skip
    assert found[1]["value"] is None
    assert client.get(f"/api/v1/runs/{parent}/map-scores").json() == {"scores": []}


def test_its_form_is_told(client: TestClient) -> None:
    """The schema of an evaluation of maps is there like that of an experiment."""
    schema = client.get("/api/v1/schema", params={"kind": "map-evaluation"}).json()
    assert {"maps", "attack", "parent"} <= set(schema["properties"])
