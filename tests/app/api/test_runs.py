"""Promises of listing and reading runs."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from engine.specs import ExperimentSpec, parse_yaml
from tests.filled import Filled
from tests.store_samples import HOSTILE_NAME


def list_runs(client: TestClient, **query: Any) -> dict[str, Any]:
    """Return one page of runs."""
    reply = client.get("/api/v1/runs", params=query)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_pages_hold_every_run_once(client: TestClient) -> None:
    """Following next_before_id visits all runs, newest first, none twice."""
    ids: list[int] = []
    before: int | None = None
    while True:
        query = {"limit": 4} | ({"before_id": before} if before else {})
        page = list_runs(client, **query)
        ids += [run["id"] for run in page["runs"]]
        before = page["next_before_id"]
        if before is None:
            break
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == sum(page["counts"].values())


def test_states_filter_and_repeat(client: TestClient) -> None:
    """Several states may be asked for; counts are of the whole store all the same."""
    page = list_runs(client, state=["queued", "running"])
    assert {run["state"] for run in page["runs"]} == {"queued", "running"}
    assert page["counts"]["failed"] == 1


def test_search_takes_wildcards_literally(client: TestClient) -> None:
    """A percent sign finds a percent sign, not everything."""
    assert list_runs(client, search="%")["runs"] == []
    assert [run["name"] for run in list_runs(client, search="ONERROR")["runs"]] == [HOSTILE_NAME]


def test_bad_query_is_refused(client: TestClient) -> None:
    """An unknown state or a limit out of bounds is a sentence, not a server error."""
    for query in ({"state": "lost"}, {"limit": 0}, {"limit": 100_000}, {"before_id": "x"}):
        reply = client.get("/api/v1/runs", params=query)
        assert reply.status_code == 422
        assert reply.json()["problems"][0]["field"] in ("state", "limit", "before_id", "0")


def test_running_run_says_how_far_it_is(client: TestClient, filled: Filled) -> None:
    """Progress is a share of the current stage; only what is allowed is offered."""
    run = client.get(f"/api/v1/runs/{filled.samples.running}").json()
    assert run["stage"] == "train"
    assert run["progress"] == 31 / 120
    assert run["seconds"] >= 0
    assert run["actions"] == ["cancel", "clone"]
    assert [stage["name"] for stage in run["stages"]] == ["load", "teach", "initialize", "train"]


def test_failed_run_keeps_sentence_and_traceback(client: TestClient, filled: Filled) -> None:
    """Why a run failed can be read in a sentence and to the bottom."""
    run = client.get(f"/api/v1/runs/{filled.samples.failed}").json()
    assert run["failure"]["kind"] == "diverged"
    assert "training.learning_rate" in run["failure"]["message"]
    assert "Traceback" in run["failure_traceback"]
    assert run["actions"] == ["retry", "clone", "delete"]


def test_spec_file_can_be_submitted_again(client: TestClient, filled: Filled) -> None:
    """The YAML of a run is its complete spec."""
    reply = client.get(f"/api/v1/runs/{filled.samples.hostile}/spec.yaml")
    spec = ExperimentSpec.model_validate(parse_yaml(reply.text))
    assert spec.name == HOSTILE_NAME
    assert spec.bits == 4
    assert "attachment" in reply.headers["Content-Disposition"]
