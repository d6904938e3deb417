"""Promises of `bitdial run`: one spec carried out here and now, recorded like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.commands.conftest import Bitdial
from tests.tiny_models import save_llama

TEXT = "The quick brown fox jumps over the lazy dog. " * 40


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return the words that name a tiny model and a tiny text."""
    model = save_llama(tmp_path / "model")
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    return [
        f"model.source={model}",
        f"evaluation.data.source={text}",
        "evaluation.data.split=train",
        "evaluation.max_length=16",
        "evaluation.limit=2",
    ]


def test_run_measures_baseline_and_run(bitdial: Bitdial, words: list[str]) -> None:
    """Without any worker, the baseline and then the run are carried out and on the leaderboard."""
    answer = bitdial("run", "--preset", "rtn", "quantizer.group_size=8", *words, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["state"] == "succeeded"
    assert {score["metric"] for score in answer.json["scores"]} >= {"perplexity"}
    board = bitdial("leaderboard", "--json").json
    assert [row["is_baseline"] for row in board] == [True, False]
    assert board[1]["baseline_run_id"] == board[0]["run_id"]
    assert "Perplexity" in bitdial("leaderboard").out


def test_failed_run_is_exit_code_one(bitdial: Bitdial, words: list[str], tmp_path: Path) -> None:
    """A run that fails says why in a sentence on stdout and ends with exit code 1."""
    (tmp_path / "text.txt").write_text("")
    answer = bitdial("run", "--preset", "baseline", *words)
    assert answer.code == 1
    assert "text.txt" in answer.out
    assert "Traceback" not in answer.out + answer.err
