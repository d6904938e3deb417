"""Promises of what a run recorded: curves, log, scores, files."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from app.reports import find_inside
from tasks.store.tables import File
from tests.filled import Filled


def test_curves_by_key_and_after_a_step(client: TestClient, filled: Filled) -> None:
    """Only the keys asked for come, only points after the step, in step order."""
    address = f"/api/v1/runs/{filled.samples.qat}/metrics"
    query = {"keys": ["train/loss", "nothing"], "after_step": 117}
    [loss] = client.get(address, params=query).json()["series"]
    assert loss["key"] == "train/loss"
    assert loss["steps"] == [118, 119, 120]
    assert loss["num_points"] == 120
    assert len(client.get(address).json()["series"]) == 4


def test_not_a_number_is_null(client: TestClient, filled: Filled) -> None:
    """A diverged loss arrives as null, which JSON can hold."""
    address = f"/api/v1/runs/{filled.samples.failed}/metrics"
    [loss] = client.get(address, params={"keys": "train/loss"}).json()["series"]
    assert loss["values"][-1] is None


def test_figure_says_whether_it_will_change(client: TestClient, filled: Filled) -> None:
    """The training figure is done once the run has ended; a diverged loss breaks no JSON."""
    for run_id, done in ((filled.samples.running, False), (filled.samples.failed, True)):
        news = client.get(f"/api/v1/runs/{run_id}/figures/training").json()
        assert news["done"] is done
        assert len(news["figure"]["data"]) == 4


def test_log_goes_on_where_it_was_left(client: TestClient, filled: Filled) -> None:
    """Reading by last_id gives every line once; level is the least level."""
    address = f"/api/v1/runs/{filled.samples.qat}/log"
    seen: list[int] = []
    last = 0
    while True:
        part = client.get(address, params={"after_id": last, "limit": 4}).json()
        seen += [line["id"] for line in part["lines"]]
        last = part["last_id"]
        if part["is_ended"]:
            break
    assert seen == [line["id"] for line in client.get(address).json()["lines"]]
    warnings = client.get(address, params={"level": "warning"}).json()["lines"]
    assert {line["level"] for line in warnings} == {"warning"}
    assert client.get(address, params={"level": "loud"}).status_code == 422


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("/log", {"after_id": 10**20}),
        ("/metrics", {"after_step": 10**20}),
        (f"/files/{10**20}", {}),
    ],
)
def test_a_number_no_database_holds_is_refused(
    client: TestClient, filled: Filled, *, address: str, query: dict[str, int]
) -> None:
    """What is too large to be a line, step or file is a bad request with a sentence."""
    reply = client.get(f"/api/v1/runs/{filled.samples.qat}{address}", params=query)
    assert reply.status_code == 422
    assert "less than or equal to" in reply.json()["message"]


def test_scores_carry_error_and_count(client: TestClient, filled: Filled) -> None:
    """Every score says its error, what it rests on, and which way is better."""
    scores = client.get(f"/api/v1/runs/{filled.samples.qat}/scores").json()["scores"]
    assert {score["metric"] for score in scores} == {
        "perplexity",
        "kl_divergence",
        "top1_agreement",
    }
    assert all(score["standard_error"] > 0 and score["num_samples"] == 4080 for score in scores)
    assert all(score["limited"] for score in scores)


def test_download_is_the_recorded_file(client: TestClient, filled: Filled) -> None:
    """The bytes that come have the recorded size and SHA-256."""
    address = f"/api/v1/runs/{filled.samples.qat}/files"
    [record] = client.get(address).json()["files"]
    reply = client.get(record["download"])
    assert len(reply.content) == record["size_bytes"]
    assert hashlib.sha256(reply.content).hexdigest() == record["sha256"]
    assert "adapter.safetensors" in reply.headers["Content-Disposition"]


def test_files_of_other_runs_and_lost_files_are_404(client: TestClient, filled: Filled) -> None:
    """A file is reached through its own run alone; one that is gone says so."""
    [record] = client.get(f"/api/v1/runs/{filled.samples.qat}/files").json()["files"]
    other = f"/api/v1/runs/{filled.samples.baseline}/files/{record['id']}"
    assert client.get(other).status_code == 404
    (filled.services.settings.data_folder / record["path"]).unlink()
    gone = client.get(record["download"])
    assert gone.status_code == 404
    assert "no longer" in gone.json()["message"]


def test_nothing_outside_the_data_folder_is_served(client: TestClient, filled: Filled) -> None:
    """A recorded path that leads out of the data folder, also through a link, is not followed."""
    folder = filled.services.settings.data_folder
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    (folder / "link").symlink_to(secret)
    [record] = client.get(f"/api/v1/runs/{filled.samples.qat}/files").json()["files"]
    for path in ("../secret.txt", str(secret), "link", "runs/../../secret.txt", "."):
        assert find_inside(folder, path) is None
        with filled.services.database.writing() as session:
            session.execute(update(File).where(File.id == record["id"]).values(path=path))
        assert client.get(record["download"]).status_code == 404
