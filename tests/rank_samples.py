"""Runs with elastic adapters in a store: trained, training, searched, searching, evaluated.

Submitted and recorded through the same doors as real ones; only the events are made up. Start with
`add_rank_runs`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.events import (
    CandidateEvaluated,
    Event,
    Progressed,
    RanksChosen,
    RanksSampled,
    ScoreMeasured,
    StageStarted,
)
from engine.specs import resolve
from tasks import submit
from tasks.submit import Desk
from tests.store_samples import carry_out, open_events, size_of, train_events

NUM_BLOCKS = 30
GROUPS = tuple(f"block {block}" for block in range(NUM_BLOCKS))
SPACE = (16, 12, 8)
PER_RANK = 162_000
NAMED = (("maximal", 16), ("median", 12), ("minimal", 8))


@dataclass(frozen=True)
class RankSamples:
    """Where the runs are.

    Attributes:
        baseline: The 16-bit run of their setting.
        trained: Finished, with elastic adapters.
        training: In the middle of training.
        search: A finished search on `trained`.
        searching: A search in its middle.
        failed: A search that failed.
        evaluation: A finished evaluation of ranks.
    """

    baseline: int
    trained: int
    training: int
    search: int
    searching: int
    failed: int
    evaluation: int


def add_rank_runs(desk: Desk) -> RankSamples:
    """Submit and carry out a run of every kind that has to do with ranks."""
    trained = _submit(desk, "openbookqa, any rank")
    baseline = next(run.id for run in _list_queued(desk) if run.is_baseline)
    carry_out(desk, baseline, _baseline_events())
    carry_out(desk, trained, _trained_events())
    training = _submit(desk, "still training")
    carry_out(desk, training, _training_events(31), ending=None)
    search = submit.submit_search(desk, trained, {}).id
    carry_out(desk, search, _search_events(40))
    values = {"search": {"strategy": "evolutionary"}, "objective": {"metric": "accuracy"}}
    searching = submit.submit_search(desk, trained, values).id
    carry_out(desk, searching, _candidate_events(9, metric="accuracy"), ending=None)
    failed = submit.submit_search(desk, trained, {"search": {"strategy": "random"}}).id
    failure = {"failure_kind": "data", "failure_message": "the mirror has no such file"}
    carry_out(desk, failed, open_events(), ending="failed", columns=failure)
    evaluation = submit.submit_evaluation(desk, trained, {"ranks": "maximal"}).id
    carry_out(desk, evaluation, _evaluation_events(16, 0.284))
    return RankSamples(baseline, trained, training, search, searching, failed, evaluation)


def _submit(desk: Desk, name: str) -> int:
    values = {"preset": "qat-nls", "name": name, "training": {"max_steps": 120}}
    return submit.submit(desk, resolve(values)).id


def _list_queued(desk: Desk) -> tuple[Any, ...]:
    from tasks.store import runs  # noqa: PLC0415 - this one question

    return runs.list_runs(desk.database, states=("queued",))


def _begin() -> Iterator[Event]:
    yield from open_events()
    yield StageStarted("teach")
    yield StageStarted("initialize")


def _baseline_events() -> Iterator[Event]:
    yield from _begin()
    yield from _benchmarks(0.252)


def _trained_events() -> Iterator[Event]:
    yield from _training_events(120)
    yield from _evaluation_events(12, 0.292, before=0.238, opened=True)


def _training_events(steps: int) -> Iterator[Event]:
    yield from _begin()
    yield from train_events(steps, total=120)
    draw = random.Random(5)
    counts = [[0, 0, 0] for _ in GROUPS]
    for _ in range(steps):
        for row in counts:
            row[draw.randrange(3)] += 1
    yield RanksSampled(GROUPS, SPACE, tuple(tuple(row) for row in counts))


def _evaluation_events(
    rank: int, score: float, *, before: float | None = None, opened: bool = False
) -> Iterator[Event]:
    if not opened:
        yield from _begin()
    yield RanksChosen(GROUPS, (rank,) * NUM_BLOCKS)
    yield size_of(4)
    if before is not None:
        yield from _benchmarks(before, phase="before")
    yield from _benchmarks(score)


def _search_events(count: int) -> Iterator[Event]:
    found: list[CandidateEvaluated] = []
    for event in _candidate_events(count, metric="loss"):
        if isinstance(event, CandidateEvaluated):
            found.append(event)
        yield event
    best = min(found, key=lambda each: each.value)
    yield RanksChosen(GROUPS, best.ranks)
    yield size_of(4)
    yield from _benchmarks(0.304)


def _candidate_events(count: int, *, metric: str) -> Iterator[Event]:
    yield from _begin()
    yield StageStarted("search", 40)
    draw = random.Random(7)
    for position in range(count):
        origin, ranks = "hill-climbing", tuple(draw.choice(SPACE) for _ in GROUPS)
        if position < len(NAMED):
            origin, ranks = NAMED[position][0], (NAMED[position][1],) * NUM_BLOCKS
        value, error = _judge(ranks, draw, metric=metric)
        yield CandidateEvaluated(
            ranks=ranks,
            adapter_parameters=PER_RANK * sum(ranks),
            metric=metric,
            value=value,
            standard_error=error,
            num_samples=200,
            direction="lower" if metric == "loss" else "higher",
            origin=origin,
            seconds=2.1,
        )
        yield Progressed("search", position + 1, 40)


def _judge(ranks: tuple[int, ...], draw: random.Random, *, metric: str) -> tuple[float, float]:
    """Return a score that likes large ranks in the middle, with noise."""
    weights = [math.exp(-(((block - 14) / 8) ** 2)) for block in range(NUM_BLOCKS)]
    quality = sum(w * r for w, r in zip(weights, ranks, strict=True)) / (16 * sum(weights))
    quality += draw.gauss(0, 0.02) - 0.0006 * sum(ranks)
    if metric == "loss":
        return 3.4 - 0.6 * quality, 0.02
    return min(1.0, max(0.0, 0.2 + 0.2 * quality)), 0.03


def _benchmarks(score: float, *, phase: Any = "final") -> Iterator[Event]:
    yield StageStarted("benchmarks", 500)
    details = {
        "harness": "lm-eval 0.4.13",
        "task_version": "1.0",
        "split": "test",
        "filter": "none",
        "num_fewshot": 0,
        "limit": None,
    }
    for metric, value in (("acc_norm", score), ("acc", score - 0.09)):
        error = math.sqrt(value * (1 - value) / 500)
        yield ScoreMeasured(
            "openbookqa", metric, value, error, 500, "higher", phase=phase, details=dict(details)
        )
