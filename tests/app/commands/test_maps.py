"""Promises of `bitdial evaluate` at other widths: words, files, refusals, the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.events import MapScored
from tasks.lease import claim_run
from tasks.settings import Settings
from tasks.store.recording import Batch, finish
from tasks.submit import Desk, open_desk
from tests.app.commands.conftest import Bitdial
from tests.tasks.builders import make_trained

SCORED = MapScored(0, "8 bits", 8.0, 8.5, "text/x", "perplexity", 12.5, 0.25, 100, "lower")


@pytest.fixture
def desk(bitdial: Bitdial, data_folder: Path) -> Iterator[Desk]:
    """The store that `bitdial` works with, its tables made."""
    bitdial("runs", "list")
    opened = open_desk(Settings(data_folder=data_folder, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()


@pytest.fixture
def parent(desk: Desk) -> str:
    """A finished run."""
    quiet: dict[str, Any] = {"preset": "qat-lora", "evaluation": {"benchmarks": []}}
    return str(make_trained(desk.database, desk.settings, files=("result",), **quiet))


def test_maps_are_taken_from_the_line(bitdial: Bitdial, parent: str, tmp_path: Path) -> None:
    """Widths, files of either format and draws become maps in this order; fields are laid over."""
    ours = tmp_path / "ours.yaml"
    ours.write_text("format: bitdial-layer-map-1\nlayers:\n  '*.mlp.*': W4A8\n")
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps({"model.layers.0.self_attn.q_proj": 4}))
    words = (
        "--widths", "8, 4", "--map", f"mine={ours}", "--map", f"theirs={theirs}",
        "--random", "8,6,4", "--random", "8,4:layer", "evaluation.limit=3",
    )  # fmt: skip
    answer = bitdial("evaluate", parent, *words, "--json")
    assert (answer.code, answer.err) == (0, "")
    spec = bitdial("runs", "show", str(answer.json["id"]), "--json").json["spec"]
    assert spec["maps"] == [
        {"map": "uniform", "bits": 8},
        {"map": "uniform", "bits": 4},
        {"map": "layers", "name": "mine", "layer_bits": ["*.mlp.*=W4A8"]},
        {"map": "layers", "name": "theirs", "layer_bits": ["model.layers.0.self_attn.q_proj=4"]},
        {"map": "random", "widths": [8, 6, 4], "weights": [], "scope": "model"},
        {"map": "random", "widths": [8, 4], "weights": [], "scope": "layer"},
    ]
    assert (spec["kind"], spec["evaluation"]["limit"]) == ("map-evaluation", 3)
    assert f"is queued: 1 map of run {parent}" in bitdial("evaluate", parent, "--widths", "4").out


def test_a_dry_run_queues_nothing(bitdial: Bitdial, parent: str) -> None:
    """The complete spec and the estimate, as text and as JSON."""
    told = bitdial("evaluate", parent, "--widths", "4", "--dry-run")
    assert "kind: map-evaluation" in told.out
    assert "memory:" in told.out
    found = bitdial("evaluate", parent, "--widths", "4", "--dry-run", "--json").json
    assert found["spec"]["maps"] == [{"map": "uniform", "bits": 4}]
    assert found["estimate"]["seconds_parts"]["maps"] > 0
    assert len(bitdial("runs", "list", "--json").json) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "--widths: is missing; give --widths 8,6,4"),
        (("--widths", "8,four"), "--widths: 'four' is no width"),
        (("--widths", "9"), "maps.0.bits: 9 is no width"),
        (("--widths", "4,4"), "maps: 2 maps are called '4 bits'"),
        (("--random", "8,4:head"), "maps.0.scope: there is no choice 'head'"),
        (("--map", "mine"), "--map: 'mine' is not NAME=FILE"),
        (("--map", "mine=nowhere.yaml"), "--map: nowhere.yaml cannot be read"),
        (("--widths", "4", "--attack"), "attack.attack: gbda attacks classifiers"),
        (("--widths", "4", "--ranks", "median"), "--ranks: are measured in a run of their own"),
        (("--ranks", "median", "--dry-run"), "--dry-run: is for widths and maps"),
        (("--widths", "4", "quantizer.bits=3"), "quantizer: is the training run's"),
        (("--ranks", "median"), "has no elastic adapters"),
    ],
)
def test_a_bad_request_is_a_sentence(
    bitdial: Bitdial, parent: str, words: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2, one line on stderr, nothing queued."""
    answer = bitdial("evaluate", parent, *words)
    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert len(bitdial("runs", "list", "--json").json) == 1


def test_show_prints_a_row_for_each_map(bitdial: Bitdial, desk: Desk, parent: str) -> None:
    """Label, bits and every score with its error; a score that is missing leaves its cell empty."""
    run_id = bitdial("evaluate", parent, "--widths", "8,4", "--json").json["id"]
    held = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert held is not None
    lower = replace(SCORED, place=1, label="4 bits", bits=4.0, effective_bits=4.3125, value=31.2)
    accuracy = replace(SCORED, metric="accuracy", benchmark="sst2", value=0.9, num_samples=50,
                       standard_error=None, limited=True)  # fmt: skip
    finish(
        desk.database, held, Batch(map_scores=[SCORED, accuracy, lower]), ending="succeeded",
        columns={},
    )  # fmt: skip
    shown = bitdial("runs", "show", str(run_id)).out
    assert (
        "map     bits  with scales          accuracy   perplexity\n"
        "                                       sst2       text/x\n"
        "                           n=50, on a limit        n=100\n"
        "8 bits     8          8.5               0.9  12.5 ± 0.25\n"
        "4 bits     4        4.312                    31.2 ± 0.25\n"
    ) in shown
    detail = bitdial("runs", "show", str(run_id), "--json").json
    assert [(each["place"], each["metric"]) for each in detail["map_scores"]] == [
        (0, "accuracy"),
        (0, "perplexity"),
        (1, "perplexity"),
    ]
    assert f"#{run_id} 2 maps of run {parent}: succeeded" in bitdial("runs", "show", parent).out
