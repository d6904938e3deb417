"""Promises of ranks trained, searched and measured here, without a worker; on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.commands.conftest import Bitdial
from tests.tiny_models import save_llama

TEXT = "The quick brown fox jumps over the lazy dog. " * 40
SPEC = """
preset: qat-nls
model: {{source: {folder}/model}}
quantizer: {{group_size: 8}}
adapter: {{rank_space: [4, 2, 1]}}
training:
  data: {{kind: task, task: openbookqa, source: {folder}/questions.jsonl, held_out: 4}}
  max_steps: 3
  max_length: 32
  per_device_train_batch_size: 2
evaluation:
  data: {{source: {folder}/text.txt, split: train}}
  max_length: 16
  limit: 2
  benchmarks: []
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec of elastic adapters on a tiny model and a few questions."""
    save_llama(tmp_path / "model")
    (tmp_path / "text.txt").write_text(TEXT)
    rows = [
        {
            "question_stem": f"The number {number} comes after",
            "choices": {"text": [str(number - 1), "a fox"], "label": ["A", "B"]},
            "answerKey": "A",
        }
        for number in range(1, 13)
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(folder=tmp_path))
    return path


def values_of(detail: dict[str, Any]) -> list[tuple[list[int], float]]:
    return [(row["ranks"], row["value"]) for row in detail["candidates"]]


def test_ranks_are_trained_searched_and_measured(bitdial: Bitdial, spec: Path) -> None:
    """A cancelled run goes on under its number; a search finds ranks, a second knows them all."""
    run_id = str(bitdial("submit", str(spec), "--json").json["id"])
    bitdial("runs", "cancel", run_id)
    trained = bitdial("run", "--resume", run_id, "--json")
    assert trained.code == 0, trained.err
    assert (trained.json["id"], trained.json["state"]) == (int(run_id), "succeeded")
    assert sum(trained.json["rank_counts"]["counts"][0]) == 3
    words = ("--strategy", "random", "search.num_evaluations=5", "--foreground", "--json")
    search = bitdial("search", run_id, *words)
    assert search.code == 0, search.err
    found = search.json
    assert (found["state"], found["parent_id"]) == ("succeeded", int(run_id))
    assert len(found["candidates"]) == 5
    assert {row["num_samples"] for row in found["candidates"]} == {4}
    best = min(found["candidates"], key=lambda row: (row["value"], row["adapter_parameters"]))
    assert found["chosen_ranks"]["ranks"] == best["ranks"]
    assert "perplexity" in {score["metric"] for score in found["scores"]}
    again = bitdial("search", run_id, *words).json
    assert values_of(again) == values_of(found)
    assert {row["seconds"] for row in again["candidates"]} == {0}
    ranks = ",".join(map(str, best["ranks"]))
    measured = bitdial("evaluate", run_id, "--ranks", ranks, "--foreground", "--json")
    assert measured.code == 0, measured.err
    assert perplexity_of(measured.json) == perplexity_of(found)


def perplexity_of(detail: dict[str, Any]) -> float:
    scores = {score["metric"]: score["value"] for score in detail["scores"]}
    return float(scores["perplexity"])
