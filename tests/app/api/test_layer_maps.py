"""Promises of a run's layer map over REST."""

from __future__ import annotations

import pytest
import yaml
from starlette.testclient import TestClient

from tests.filled import Filled
from tests.tasks.builders import make_run


@pytest.fixture
def run_id(filled: Filled) -> int:
    """A queued run with a layer map."""
    lines = ["*.mlp.*=W3A8"]
    return make_run(filled.services.database, quantizer={"layer_bits": lines})


def test_a_map_is_a_file_in_either_format(client: TestClient, filled: Filled, run_id: int) -> None:
    """Bitdial's YAML unless QaLoF's JSON is asked for; the name says whose it is."""
    reply = client.get(f"/api/v1/runs/{run_id}/layer-map")
    assert reply.headers["content-type"] == "application/yaml"
    assert f'filename="run-{run_id}-layer-map.yaml"' in reply.headers["content-disposition"]
    assert yaml.safe_load(reply.text)["layers"]["model.layers.0.mlp.up_proj"] == "W3A8"
    plain = make_run(filled.services.database, quantizer={"bits": 3})
    reply = client.get(f"/api/v1/runs/{plain}/layer-map", params={"format": "qalof"})
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json().values()) == {3}


def test_what_cannot_be_told_is_refused(client: TestClient, filled: Filled, run_id: int) -> None:
    """Unknown runs, 16-bit ones, unknown formats and labels, and what a format cannot hold."""
    baseline = filled.samples.baseline
    for address, status, words in (
        ("9999/layer-map", 404, "there is no run 9999"),
        (f"{baseline}/layer-map", 409, "leaves its model at 16 bits"),
        (f"{run_id}/layer-map?format=gguf", 422, "'llama-cpp' or 'compressed-tensors'"),
        (f"{run_id}/layer-map?map=a", 422, f"run {run_id} has one layer map"),
        (f"{run_id}/layer-map?format=qalof", 422, "inputs or a cache of another width"),
    ):
        reply = client.get(f"/api/v1/runs/{address}")
        assert (reply.status_code, words in reply.json()["message"]) == (status, True), address
