"""From lm-eval's results to scores: every metric with its error, sample count and setting.

Start with `read_scores`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from engine.events import Phase, ScoreMeasured

NO_FILTER = "none"
ERROR_SUFFIX = "_stderr"


def read_scores(
    results: Mapping[str, Any],
    loaded: Mapping[str, Any],
    *,
    limit: int | None,
    phase: Phase,
    harness: str,
) -> tuple[ScoreMeasured, ...]:
    """Return one score for each metric of each task and group; metrics that are no number are not.

    Args:
        results: What lm-eval's `evaluate` returns.
        loaded: What its task manager returned, for the splits.
        limit: The most questions of a task that were asked, or None.
        phase: When it was measured.
        harness: Name and version of lm-eval.
    """
    scores = []
    for name, metrics in results["results"].items():
        details: dict[str, str | int | None] = {
            "harness": harness,
            "task_version": _shown(results["versions"].get(name)),
            "split": _split_of(loaded["tasks"].get(name)),
            "num_fewshot": _integer(results["n-shot"].get(name)),
            "limit": limit,
        }
        for metric, picked, value, error in _iter_metrics(metrics):
            is_higher = results["higher_is_better"].get(name, {}).get(metric)
            scores.append(
                ScoreMeasured(
                    benchmark=name,
                    metric=metric if picked == NO_FILTER else f"{metric} ({picked})",
                    value=value,
                    standard_error=error,
                    num_samples=int(metrics["sample_len"]),
                    direction="lower" if is_higher is False else "higher",
                    limited=limit is not None and _is_cut(name, results),
                    phase=phase,
                    details={**details, "filter": picked},
                )
            )
    return tuple(scores)


def _iter_metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, float, float | None]]:
    """Yield metric, filter, value and standard error of a task's "acc,none" and the like."""
    for key, value in metrics.items():
        metric, comma, picked = key.partition(",")
        number = _number(value)
        if comma and number is not None and not metric.endswith(ERROR_SUFFIX):
            yield metric, picked, number, _number(metrics.get(f"{metric}{ERROR_SUFFIX},{picked}"))


def _is_cut(name: str, results: Mapping[str, Any]) -> bool:
    """Whether a task, or any task of a group, was asked only a part of its questions."""
    counts = results["n-samples"].get(name)
    if counts is not None:
        return bool(counts["effective"] < counts["original"])
    return any(_is_cut(child, results) for child in results["group_subtasks"].get(name, ()))


def _split_of(task: Any) -> str | None:
    """Return the split a task's questions are from; groups have none."""
    if task is None:
        return None
    config = task.config
    split = config.test_split if task.has_test_docs() else config.validation_split
    return None if split is None else str(split)


def _number(value: object) -> float | None:
    """Return a finite number as such; lm-eval writes "N/A" where there is none."""
    try:
        number = float(value) if not isinstance(value, str | None) else math.nan  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _shown(value: object) -> str | None:
    return None if value is None else str(value)
