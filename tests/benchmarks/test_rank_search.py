"""The benchmark of rank searches reads its table and compares fairly; on a made-up table."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import rank_search
from tests.benchmarks.report import CannotMeasure

RANKS = (16, 12, 8)
BEST = (12, 8, 16, 12)


def write_table(folder: Path, **changes: Any) -> Path:
    """Write a table of 81 configurations whose score gets worse with the distance to one."""
    rows = [
        {"ranks": ranks, "value": 1 + sum(abs(a - b) for a, b in zip(ranks, BEST, strict=True))}
        for ranks in itertools.product(RANKS, repeat=4)
    ]
    table = {
        "groups": [f"block {index}" for index in range(4)],
        "rank_space": RANKS,
        "parameters_per_rank": [10] * 4,
        "metric": "loss",
        "model": "made up",
        "rows": rows,
    }
    path = folder / "table.json"
    path.write_text(json.dumps(table | changes))
    return path


def test_searches_beat_random_on_a_smooth_table(tmp_path: Path) -> None:
    """Where neighbors are alike, both searches end nearer to the best, with every figure told."""
    table = rank_search.load_table(write_table(tmp_path))
    report = rank_search.measure(table, budgets=(30,), num_seeds=20)
    assert report.figures["table_best"] == 1
    assert report.figures["random_30_regret_ratio"] == 1
    assert report.figures["random_30_beats"] == 0.5
    for name in ("hill-climbing", "evolutionary"):
        assert report.figures[f"{name}_30_regret_ratio"] < 0.9
        assert report.met[f"{name}_30_beats"]
    assert report.environment["table"] == {"metric": "loss", "model": "made up"}


def test_a_score_that_should_be_high_is_told_as_such(tmp_path: Path) -> None:
    """With accuracy the best of the table is its highest value, and regrets stay positive."""
    table = rank_search.load_table(write_table(tmp_path, metric="accuracy"))
    figures = rank_search.measure(table, budgets=(5,), num_seeds=5).figures
    assert figures["table_best"] > figures["random_5_best"] > figures["table_worst"] == 1
    assert figures["random_5_regret"] == figures["table_best"] - figures["random_5_best"]


def test_a_table_with_holes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing, damaged or incomplete table is one sentence, and exit code 2."""
    rows = [{"ranks": [16, 16, 16, 16], "value": 1.0}]
    with pytest.raises(CannotMeasure, match="1 finite rows for 81 configurations"):
        rank_search.load_table(write_table(tmp_path, rows=rows))
    with pytest.raises(CannotMeasure, match="missing or damaged"):
        rank_search.load_table(write_table(tmp_path, rank_space=None))
    assert rank_search.main(["--table", str(tmp_path / "none.json")]) == 2
    assert "none.json is missing" in capsys.readouterr().err
