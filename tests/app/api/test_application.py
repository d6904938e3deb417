"""Promises of the API as a whole: described, refusing with sentences, closed to other sites."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.filled import Filled

ROUTES = {
    "/runs",
    "/runs/preview",
    "/runs/{run_id}",
    "/runs/{run_id}/cancel",
    "/runs/{run_id}/retry",
    "/runs/{run_id}/spec.yaml",
    "/runs/{run_id}/metrics",
    "/runs/{run_id}/log",
    "/runs/{run_id}/scores",
    "/runs/{run_id}/files",
    "/runs/{run_id}/files/{file_id}",
    "/runs/{run_id}/map-evaluations",
    "/runs/{run_id}/map-scores",
    "/runs/{run_id}/layer-map",
    "/leaderboard",
    "/leaderboard.csv",
    "/leaderboard.md",
    "/presets",
    "/schema",
}


def test_openapi_describes_every_route(client: TestClient) -> None:
    """The OpenAPI document lists each route under the address it is served at."""
    document = client.get("/api/v1/openapi.json").json()
    assert set(document["paths"]) >= ROUTES
    assert document["servers"] == [{"url": "/api/v1"}]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["description"] for operation in operations)


@pytest.mark.parametrize(
    "address",
    ["", "/spec.yaml", "/metrics", "/log", "/scores", "/files", "/files/1", "/figures/training"],
)
def test_unknown_run_is_404_with_a_sentence(client: TestClient, address: str) -> None:
    """Every address under a run that is not there says which run is missing."""
    reply = client.get(f"/api/v1/runs/99999{address}")
    assert reply.status_code == 404
    assert "there is no run 99999" in reply.json()["message"]


@pytest.mark.parametrize("run_id", ["abc", "0", "-1", "1.5", str(2**31), "9" * 40])
def test_garbage_id_is_refused_by_name(client: TestClient, run_id: str) -> None:
    """What is no id is refused with the field's name, never an error of the server."""
    reply = client.get(f"/api/v1/runs/{run_id}")
    assert reply.status_code == 422
    assert reply.json()["problems"][0]["field"] == "run_id"


def test_unknown_address_says_where_to_look(client: TestClient) -> None:
    """A wrong address names the description of the right ones."""
    reply = client.get("/api/v1/nothing-here")
    assert reply.status_code == 404
    assert "openapi.json" in reply.json()["message"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_cannot_change_anything(client: TestClient, filled: Filled, site: str) -> None:
    """A browser that was led here by another site's page is refused, and the run goes on."""
    queued = filled.samples.queued[0]
    headers = {"Sec-Fetch-Site": site}
    refused = client.post(f"/api/v1/runs/{queued}/cancel", headers=headers)
    assert refused.status_code == 403
    assert client.get(f"/api/v1/runs/{queued}", headers=headers).json()["state"] == "queued"


def test_metrics_count_runs_by_state(client: TestClient) -> None:
    """Prometheus reads one gauge per state, those without runs included."""
    text = client.get("/metrics").text
    assert 'bitdial_runs{state="running"} 1\n' in text
    assert 'bitdial_runs{state="queued"} 3\n' in text
    assert 'bitdial_runs{state="draft"} 0\n' in text
    assert text.startswith("# HELP bitdial_runs")
