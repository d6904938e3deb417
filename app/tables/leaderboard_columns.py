"""The columns of the leaderboard, each said once: title, unit, what it means, how to fill it.

Fixed columns come first, then for every metric of the group its score and, where the baseline has
one too, the difference, then what the run cost. Start with `list_columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.quantities import is_correlation, is_share, unit_of, write_bits, write_seconds
from app.tables.cells import (
    EMPTY,
    Cell,
    delta_cell,
    list_numbers,
    number_cell,
    score_cell,
    share_cell,
    size_cell,
    text_cell,
)
from app.tables.describing import (
    describe_grid,
    describe_method,
    describe_model,
    describe_policy,
    describe_start,
    describe_width,
    nominal_bits,
)
from app.tables.metrics import (
    MEASURED_AGAINST_BASELINE,
    explain_metric,
    name_benchmark,
    name_metric,
    order_of_metric,
)
from tasks.store.records import LeaderboardRow, ScoreRecord

Align = Literal["text", "number"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        id: Stable name, as in `?sort=-id`.
        title: The header.
        unit: Shown beside the title; "" where there is none.
        description: One sentence for a person who hovers.
        align: How it is set.
        shown: Whether it is shown before anybody chooses.
        fill: Makes the cell of a row.
    """

    id: str
    title: str
    description: str
    fill: Callable[[LeaderboardRow], Cell]
    unit: str = ""
    align: Align = "number"
    shown: bool = True


def list_columns(rows: Iterable[LeaderboardRow]) -> tuple[Column, ...]:
    """Return the columns for these rows: the fixed ones and those of their scores."""
    members = tuple(rows)
    titles = list_score_keys(members)
    compared = {key for row in members for key in row.baseline_scores}
    measured: list[Column] = []
    for key, title in titles.items():
        shown = not _has_normalized(key, titles)
        scores = [row.scores[key] for row in members if key in row.scores]
        measured.append(_score_column(key, title, scores, shown=shown))
        if key in compared and scores[-1].metric not in MEASURED_AGAINST_BASELINE:
            scores += [row.baseline_scores[key] for row in members if key in row.baseline_scores]
            measured.append(_delta_column(key, title, scores, shown=shown))
    return (*DESCRIPTION, *measured, *COST)


def list_score_keys(rows: Iterable[LeaderboardRow]) -> dict[str, str]:
    """Return the scores these runs have, in the order of the columns: key to title.

    The title of a benchmark of lm-eval names it, and that of a text where there are several.
    """
    scores = {key: score for row in rows for key, score in row.scores.items()}
    metrics = [score.metric for score in scores.values()]
    titles = {}
    for key, score in sorted(scores.items(), key=_metric_order):
        titles[key] = name_metric(score.metric)
        if "/" not in score.benchmark or metrics.count(score.metric) > 1:
            titles[key] += f", {name_benchmark(score.benchmark)}"
    return titles


def size_of(row: LeaderboardRow, part: str) -> float | None:
    """Return "total_bytes", "original_bytes" or "effective_bits" where measured."""
    value = (row.run.size or {}).get(part)
    return float(value) if value is not None else None


def _metric_order(item: tuple[str, ScoreRecord]) -> tuple[int, str]:
    return order_of_metric(item[1].metric), item[0]


def _has_normalized(key: str, keys: Iterable[str]) -> bool:
    """Whether a plain accuracy stands beside the normalized one of its benchmark."""
    benchmark, _, metric = key.partition("|")
    return metric == "acc" and f"{benchmark}|acc_norm" in keys


def _score_column(key: str, title: str, scores: Sequence[ScoreRecord], *, shown: bool) -> Column:
    score, numbers = scores[-1], list_numbers(scores)
    better = "lower is better" if score.direction == "lower" else "higher is better"
    arrow = "↓" if score.direction == "lower" else "↑"
    meaning = explain_metric(score.metric) or f"{title} on {score.benchmark}"
    return Column(
        f"score:{key}",
        title,
        f"{meaning}; {better}. ± one standard error, n samples.",
        lambda row: score_cell(row.scores.get(key), beside=numbers),
        unit=f"{unit_of(score.metric, numbers)} {arrow}".strip(),
        shown=shown,
    )


def _delta_column(key: str, title: str, scores: Sequence[ScoreRecord], *, shown: bool) -> Column:
    metric, numbers = scores[-1].metric, list_numbers(scores)
    is_difference = is_share(metric, numbers) or is_correlation(metric)
    how = "minus" if is_difference else "divided by"
    return Column(
        f"delta:{key}",
        f"Δ {title}",
        f"{title} {how} that of the untuned 16-bit baseline of the same setting.",
        lambda row: _delta(row, key, numbers),
        shown=shown,
    )


def _delta(row: LeaderboardRow, key: str, beside: Sequence[float | None]) -> Cell:
    if row.run.is_baseline:
        return EMPTY
    return delta_cell(row.scores.get(key), row.baseline_scores.get(key), beside=beside)


def _share_of_original(row: LeaderboardRow) -> Cell:
    return share_cell(size_of(row, "total_bytes"), size_of(row, "original_bytes"))


def _size(row: LeaderboardRow) -> Cell:
    share = _share_of_original(row)
    note = "" if share is EMPTY else f"{share.text} %"
    return replace(size_cell(size_of(row, "total_bytes")), note=note)


def _seconds(row: LeaderboardRow) -> Cell:
    stages = (row.run.resources or {}).get("seconds_by_stage") or {}
    seconds = sum(stages.values()) if stages else None
    return EMPTY if seconds is None else Cell(seconds, write_seconds(seconds))


def _memory(row: LeaderboardRow) -> Cell:
    return size_cell((row.run.resources or {}).get("peak_memory_bytes"))


def _finished(row: LeaderboardRow) -> Cell:
    moment = row.run.finished_at
    return EMPTY if moment is None else Cell(moment.timestamp(), f"{moment:%Y-%m-%d %H:%M}")


def _name(row: LeaderboardRow) -> Cell:
    return replace(text_cell(row.run.name), note=describe_method(row.run))


def _bits(row: LeaderboardRow) -> Cell:
    bits = nominal_bits(row.run)
    return Cell(bits, write_bits(bits))


def _group_size(row: LeaderboardRow) -> Cell:
    quantizer = row.run.spec.get("quantizer", {})
    granularity = quantizer.get("granularity", "group" if "group_size" in quantizer else "")
    if granularity != "group":
        return text_cell(str(granularity))
    return number_cell(float(quantizer["group_size"]), 0)


DESCRIPTION = (
    Column("name", "Run", "The run's name and method.", _name, align="text"),
    Column(
        "model",
        "Model",
        "Where the model comes from.",
        lambda r: text_cell(describe_model(r.run)),
        align="text",
        shown=False,
    ),
    Column(
        "method",
        "Method",
        "How it was compressed.",
        lambda r: text_cell(describe_method(r.run)),
        align="text",
        shown=False,
    ),
    Column(
        "grid",
        "Grid",
        "What weights are rounded to.",
        lambda r: text_cell(describe_grid(r.run)),
        align="text",
        shown=False,
    ),
    Column(
        "start",
        "Start",
        "Where the quantized model started from, before any training.",
        lambda r: text_cell(describe_start(r.run)),
        align="text",
        shown=False,
    ),
    Column(
        "bits",
        "Bits",
        "Width of the grid, on the mean where layers differ; 16 where nothing is quantized.",
        _bits,
    ),
    Column(
        "policy",
        "Bit policy",
        "How widths changed from step to step of the training.",
        lambda r: text_cell(describe_policy(r.run)),
        align="text",
        shown=False,
    ),
    Column(
        "widths",
        "Weights, inputs, cache",
        "Widths of weights (W), of layers' inputs (A) and of keys and values (KV).",
        lambda r: text_cell(describe_width(r.run)),
        align="text",
        shown=False,
    ),
    Column("group_size", "Group", "Weights that share a scale.", _group_size, shown=False),
    Column(
        "effective_bits",
        "Effective bits",
        "Bits per quantized weight, scales and zero points counted.",
        lambda r: number_cell(size_of(r, "effective_bits"), 2),
    ),
    Column(
        "size",
        "Size",
        "The whole compressed model, and its share of the same model in 16 bits.",
        _size,
        unit="MiB",
    ),
    Column(
        "share",
        "Of 16-bit",
        "Size as a share of the same model in 16 bits.",
        _share_of_original,
        unit="%",
        shown=False,
    ),
)
COST = (
    Column("seconds", "Time", "Time the run took.", _seconds, shown=False),
    Column("memory", "Peak memory", "Most memory in use.", _memory, unit="MiB", shown=False),
    Column("finished", "Finished", "When the run finished.", _finished, unit="UTC", shown=False),
)
