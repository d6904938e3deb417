"""lm-eval's results read: groups, directions, and what is no number."""

from __future__ import annotations

import math
from typing import Any

from engine.evaluation.benchmark_scores import read_scores
from engine.events import ScoreMeasured

RESULTS: dict[str, Any] = {
    "results": {
        "a": {
            "name": "a", "alias": "a", "sample_len": 2,
            "acc,none": 0.5, "acc_stderr,none": 0.5,
            "ppl,strict": 7.0, "ppl_stderr,strict": "N/A",
            "odd,none": "text", "worse,none": math.nan, "list,none": [1.0, 2.0],
        },
        "b": {"name": "b", "alias": "b", "sample_len": 3, "acc,none": 1.0},
        "all": {"name": "all", "alias": "all", "sample_len": 5, "acc,none": 0.75},
        "some": {"name": "some", "alias": "some"},
    },
    "versions": {"a": 1.0, "b": "Yaml", "all": None},
    "n-shot": {"a": 0, "b": 5},
    "higher_is_better": {"a": {"acc": True, "ppl": False}, "b": {"acc": True}},
    "n-samples": {"a": {"original": 9, "effective": 2}, "b": {"original": 3, "effective": 3}},
    "group_subtasks": {"all": ["a", "some"], "some": ["b"]},
}  # fmt: skip


def read(limit: int | None) -> dict[tuple[str, str], ScoreMeasured]:
    scores = read_scores(RESULTS, {"tasks": {}}, limit=limit, phase="before", harness="lm-eval x")
    return {(score.benchmark, score.metric): score for score in scores}


def test_every_number() -> None:
    """Each number of each task and group is a score; texts, lists and not-a-numbers are none."""
    assert list(read(3)) == [("a", "acc"), ("a", "ppl (strict)"), ("b", "acc"), ("all", "acc")]


def test_attributes() -> None:
    """A score has its error where there is one, its direction and its setting."""
    found = read(3)
    assert found["a", "acc"].standard_error == 0.5
    assert found["a", "ppl (strict)"].standard_error is None
    assert found["a", "ppl (strict)"].direction == "lower"
    assert found["a", "ppl (strict)"].details["filter"] == "strict"
    assert found["b", "acc"].details["num_fewshot"] == 5
    assert {score.phase for score in found.values()} == {"before"}


def test_limited() -> None:
    """A task asked in part is limited, and so is a group with such a member; without limit none."""
    limited = {name for (name, _), score in read(3).items() if score.limited}
    assert limited == {"a", "all"}
    assert not any(score.limited for score in read(None).values())
    assert read(3)["all", "acc"].num_samples == 5
