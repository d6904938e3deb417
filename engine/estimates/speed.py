"""What is known of the speed of a machine with a model, from runs that already finished.

`SpeedBasis` is handed to an estimate; `learn_speed` makes one from past runs of the same model on
the same device. Start there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from engine.estimates.row_counts import RowCounts
from engine.estimates.workload import Workload, count_workload
from engine.specs import Subject

DeviceKind = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class SpeedBasis:
    """Measured speeds of one model on one device; None where nothing was measured.

    Attributes:
        device: Kind of device the run will use.
        num_cores: CPU cores of that machine.
        num_runs: Finished runs behind the numbers; 0 for none.
        train_tokens_per_second: Tokens per second forward and backward (`Workload.train_work`).
        evaluate_tokens_per_second: Tokens per second of the evaluation.
        load_seconds: Time until the model is in memory.
        calibration_tokens_per_second: Calibration tokens per second of a data-aware start.
        benchmark_tokens_per_second: Tokens per second of the benchmarks.
        rows: How many examples tasks have on that machine.
        scoring_factor: Seconds that a sensitivity run's method took, over those of the rule of
            thumb.
        num_scored: Finished sensitivity runs behind it.
    """

    device: DeviceKind = "cpu"
    num_cores: int = 2
    num_runs: int = 0
    train_tokens_per_second: float | None = None
    evaluate_tokens_per_second: float | None = None
    load_seconds: float | None = None
    calibration_tokens_per_second: float | None = None
    benchmark_tokens_per_second: float | None = None
    rows: RowCounts = field(default_factory=RowCounts)
    scoring_factor: float | None = None
    num_scored: int = 0


@dataclass(frozen=True)
class PastRun:
    """A finished run: what was asked and the seconds its stages took."""

    spec: Subject
    seconds_by_stage: Mapping[str, float]


def learn_speed(
    runs: Iterable[PastRun],
    *,
    device: DeviceKind = "cpu",
    num_cores: int = 2,
    rows: RowCounts | None = None,
) -> SpeedBasis:
    """Take the median speed of past runs of the same model on the same device.

    Args:
        runs: Finished runs; others' models or devices would mislead.
        device: Kind of device.
        num_cores: CPU cores of the machine.
        rows: How many examples tasks have on it: what past runs worked through is counted by them.
    """
    rows = rows or RowCounts()
    known = [(count_workload(run.spec, rows=rows), run.seconds_by_stage) for run in runs]
    return SpeedBasis(
        device=device,
        num_cores=num_cores,
        num_runs=len(known),
        train_tokens_per_second=_rate(known, "train", lambda work: work.train_work),
        evaluate_tokens_per_second=_rate(known, "evaluate", lambda work: work.evaluate_tokens),
        load_seconds=_middle([stages["load"] for _, stages in known if "load" in stages]),
        calibration_tokens_per_second=_rate(
            known, "initialize", lambda work: work.calibration_tokens
        ),
        benchmark_tokens_per_second=_rate(known, "benchmarks", lambda work: work.benchmark_tokens),
        rows=rows,
    )


def _rate(
    known: list[tuple[Workload, Mapping[str, float]]],
    stage: str,
    tokens: Callable[[Workload], float],
) -> float | None:
    """Return the median of tokens per second over the runs that had the stage."""
    return _middle(
        [
            tokens(work) / stages[stage]
            for work, stages in known
            if stages.get(stage, 0) > 0 and tokens(work) > 0
        ]
    )


def _middle(values: list[float]) -> float | None:
    return median(values) if values else None
