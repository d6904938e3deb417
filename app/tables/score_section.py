"""The scores of a run beside its baseline's, before and after training.

Texts stand first, then the benchmarks of lm-eval with how they were asked. Start with
`describe_scores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.quantities import is_share, unit_of, write_count, write_score
from app.tables.cells import delta_cell, list_numbers
from app.tables.describing import lacks_baseline
from app.tables.metrics import (
    MEASURED_AGAINST_BASELINE,
    explain_metric,
    name_benchmark,
    name_metric,
    order_of_metric,
)
from app.tables.sections import Fact, FactRow, Section, build_row
from app.text import leaderboard as words
from app.text import run as text
from tasks.store.records import TERMINAL_STATES, RunRecord, ScoreRecord

Scores = dict[tuple[str, str], ScoreRecord]
Numbers = tuple[float | None, ...]


def describe_scores(
    run: RunRecord,
    scores: Sequence[ScoreRecord],
    baseline_scores: Sequence[ScoreRecord],
    baseline_id: int | None,
) -> Section:
    """Return scores with error, count and setting, beside the baseline's.

    Args:
        run: Whose scores they are.
        scores: Of every phase; those before training get a column where there are any.
        baseline_scores: Those of the baseline of its setting.
        baseline_id: The baseline's run; None where none is finished.
    """
    theirs = _by_key(score for score in baseline_scores if score.phase == "final")
    before = _by_key(score for score in scores if score.phase == "before")
    final = sorted((score for score in scores if score.phase == "final"), key=_order)
    rows = [_build_row(run, score, theirs=theirs, before=before) for score in final]
    columns = text.SCORE_COLUMNS_BEFORE if before else text.SCORE_COLUMNS
    return Section(
        "scores",
        text.RESULTS,
        tuple(rows),
        text.NO_RESULTS_ENDED if run.state in TERMINAL_STATES else text.NO_RESULTS,
        columns=columns,
        numbers=tuple(range(1, len(columns))),
        note=_write_note(run, final, baseline_id) if rows else "",
    )


def describe_asking(score: ScoreRecord) -> str:
    """Say how a benchmark was asked: shots, filter, split; empty for a text."""
    details = score.details
    parts = []
    shots = details.get("num_fewshot")
    if shots is not None:
        parts.append(text.ONE_SHOT if shots == 1 else text.SHOTS.format(count=shots))
    if details.get("filter") not in (None, "none"):
        parts.append(text.FILTER.format(name=details["filter"]))
    if details.get("split"):
        parts.append(text.SPLIT.format(name=details["split"]))
    return ", ".join(parts)


def _by_key(scores: Iterable[ScoreRecord]) -> Scores:
    return {(score.benchmark, score.metric): score for score in scores}


def _order(score: ScoreRecord) -> tuple[bool, str, int, str]:
    is_task = "/" not in score.benchmark
    return is_task, score.benchmark, order_of_metric(score.metric), score.metric


def _build_row(run: RunRecord, score: ScoreRecord, *, theirs: Scores, before: Scores) -> FactRow:
    key = (score.benchmark, score.metric)
    baseline = None if run.is_baseline else theirs.get(key)
    others = [before.get(key), baseline]
    beside = list_numbers([score, *others])
    cells = [_name_cell(score), _value_cell(score, beside)]
    if before:
        cells += [_narrow(_other_cell(score, each, beside)) for each in others]
        name, value = cells[:2]
        cells[0] = replace(name, note=f"{name.note}, {value.note}")
        cells[1] = _narrow(value)
    else:
        cells.append(_other_cell(score, baseline, beside))
    cells.append(_delta_cell(score, baseline, beside))
    return build_row(*cells)


def _name_cell(score: ScoreRecord) -> Fact:
    arrow = "↓" if score.direction == "lower" else "↑"
    better = "lower is better" if score.direction == "lower" else "higher is better"
    where = ", ".join(filter(None, (name_benchmark(score.benchmark), describe_asking(score))))
    title = "; ".join(filter(None, (explain_metric(score.metric), better)))
    return Fact(f"{name_metric(score.metric)} {arrow}", note=where, title=title)


def _value_cell(score: ScoreRecord, beside: Numbers) -> Fact:
    written = write_score(score.metric, score.value, score.standard_error, beside=beside)
    unit = "" if is_share(score.metric, beside) else unit_of(score.metric, beside)
    return Fact(
        f"{written} {unit}".rstrip(),
        note=f"n = {write_count(score.num_samples)}",
        mark=text.LIMIT if score.limited else "",
        title=text.LIMIT_HINT if score.limited else "",
    )


def _other_cell(score: ScoreRecord, other: ScoreRecord | None, beside: Numbers) -> Fact:
    if other is None:
        return Fact("–")
    return Fact(write_score(score.metric, other.value, other.standard_error, beside=beside))


def _narrow(cell: Fact) -> Fact:
    """Put the error alone under the value, where there are many columns."""
    value, plus_minus, error = cell.text.partition(" ± ")
    if not plus_minus:
        return cell
    unit = " %" if error.endswith(" %") else ""
    return replace(cell, text=value + unit, note=f"± {error.removesuffix(' %')}")


def _delta_cell(score: ScoreRecord, baseline: ScoreRecord | None, beside: Numbers) -> Fact:
    if baseline is None or score.metric in MEASURED_AGAINST_BASELINE:
        return Fact("–")
    delta = delta_cell(score, baseline, beside=beside)
    return Fact(delta.text, note=delta.note, tone=delta.tone)


def _write_note(run: RunRecord, scores: Sequence[ScoreRecord], baseline_id: int | None) -> str:
    parts = []
    if not run.is_baseline:
        known = text.BASELINE_NOTE.format(id=baseline_id)
        unknown = words.NO_BASELINE_OF_HEAD if lacks_baseline(run) else words.NO_BASELINE
        parts.append(unknown if baseline_id is None else known)
    harnesses = sorted({str(s.details["harness"]) for s in scores if s.details.get("harness")})
    if harnesses:
        parts.append(text.HARNESS.format(names=", ".join(harnesses)))
    return " ".join(parts)
