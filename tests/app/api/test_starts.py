"""Promises of what REST tells about a run's start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.api import build_api
from engine.initialize.error_report import ERROR_FILE
from tests.filled import Started
from tests.start_samples import LAYERS, StartSamples, make_errors, write_report

FORMAT = "bitdial-initialization-error-1"


@pytest.fixture
def starts(started: Started) -> StartSamples:
    """Return where the runs are that tell of their start."""
    return started.starts


@pytest.fixture
def client(started: Started) -> Iterator[TestClient]:
    """Open a client of the API on the store with those runs."""
    web = FastAPI()
    web.mount("/api/v1", build_api(started.services))
    with TestClient(web) as opened:
        yield opened


def find_report(started: Started, run_id: int) -> Path:
    """Return where a run wrote its errors."""
    return started.services.settings.attempt_folder(run_id, 1) / ERROR_FILE


def test_errors_are_those_of_the_report(client: TestClient, starts: StartSamples) -> None:
    """Every iteration of every layer is told, in the model's order, with the mean."""
    reply = client.get(f"/api/v1/runs/{starts.loftq}/initialization-error").json()
    assert tuple(reply["layers"]) == LAYERS
    assert reply["layers"] == {name: list(each) for name, each in make_errors(4).items()}
    assert len(reply["mean"]) == 5
    assert reply["measure"] == "weights"
    aware = starts.families["data-aware", 4]
    reply = client.get(f"/api/v1/runs/{aware}/initialization-error").json()
    assert reply["measure"] == "outputs"


def test_widths_are_those_of_the_report(client: TestClient, starts: StartSamples) -> None:
    """The rule, the mean and the bits of every layer are told."""
    reply = client.get(f"/api/v1/runs/{starts.mixed}/layer-widths").json()
    assert (reply["rule"], set(reply["layers"].values())) == ("sensitivity", {2, 3, 4})
    assert tuple(reply["layers"]) == LAYERS


@pytest.mark.parametrize("address", ["initialization-error", "layer-widths"])
def test_without_a_report_the_reason_is_said(
    client: TestClient, started: Started, address: str
) -> None:
    """A run that has none is a 404 that tells who writes one; an unknown run is another."""
    reply = client.get(f"/api/v1/runs/{started.samples.qat}/{address}")
    assert reply.status_code == 404
    assert "it is written by runs" in reply.json()["message"]
    assert "there is no run" in client.get(f"/api/v1/runs/9999/{address}").json()["message"]


@pytest.mark.parametrize(
    "values",
    [
        {"format": "something else", "mean": [0.1], "layers": {"a": [0.1]}},
        {"format": FORMAT, "mean": [], "layers": {"a": [0.1]}},
        {"format": FORMAT, "mean": [0.1], "layers": {}},
        {"format": FORMAT, "mean": [0.1], "layers": {"a": []}},
        {"format": FORMAT, "mean": [0.1], "layers": {"a": ["<b>"]}},
        {"format": FORMAT, "mean": [0.1], "layers": {"a": [1e300]}},
        {"format": FORMAT, "mean": [0.1], "layers": {"a": [-0.1]}},
        {"format": FORMAT, "mean": [0.1], "layers": {"a": [0.1]}, "measure": "<b>"},
        [],
    ],
)
def test_a_damaged_report_is_a_404_with_a_sentence(
    client: TestClient, started: Started, starts: StartSamples, values: Any
) -> None:
    """A file that holds something else is named, and breaks nothing."""
    write_report(find_report(started, starts.loftq), values)
    reply = client.get(f"/api/v1/runs/{starts.loftq}/initialization-error")
    assert reply.status_code == 404
    assert "cannot be read" in reply.json()["message"]


def test_numbers_without_end_are_damage(
    client: TestClient, started: Started, starts: StartSamples
) -> None:
    """NaN, half a file and a file that is gone are told, each as what it is."""
    report = find_report(started, starts.loftq)
    address = f"/api/v1/runs/{starts.loftq}/initialization-error"
    whole = json.loads(report.read_text())
    report.write_text(json.dumps(whole | {"mean": [float("nan")]}))
    assert "cannot be read" in client.get(address).json()["message"]
    report.write_text(json.dumps(whole)[:100])
    assert "cannot be read" in client.get(address).json()["message"]
    report.unlink()
    gone = client.get(address)
    assert gone.status_code == 404
    assert "no longer" in gone.json()["message"]
