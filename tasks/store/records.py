"""The frozen rows the store hands out; a record never changes under its holder.

Times are timezone-aware UTC datetimes from the database's clock. Nothing here imports SQLAlchemy.
Start with `RunRecord`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, TypeVar

RunState = Literal["draft", "queued", "running", "succeeded", "failed", "cancelled"]
RunKind = Literal["experiment", "search", "evaluation", "map-evaluation", "sensitivity"]
Control = Literal["cancel"]
Record = TypeVar("Record")
LARGEST_ID = 2**31 - 1
"""The largest number a run can have, on both databases."""
TERMINAL_STATES: frozenset[RunState] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class RunRecord:
    """One recorded execution of a spec.

    Attributes:
        spec: The complete spec as JSON values, every default written out.
        asked: The values the person wrote, nested as in the spec.
        baseline_key: Same for every run that is compared with the same baseline: a hash of model
            and evaluation setting.
        attempt: Number of the newest attempt; 0 before the first. It fences late writers.
        control: "cancel" once somebody asked for it.
        progress_done: Units of the current stage that are finished, of `progress_total`.
        eta_seconds: Seconds the current attempt still needs, or None where unknown.
        environment: Versions, device, dtype, seed and commit the run used.
        estimate: What was predicted before launch; see `tasks.submit.Estimate`.
        size: total_bytes, original_bytes, effective_bits and parts, once measured.
        resources: peak_memory_bytes and seconds_by_stage, once measured.
        parent_id: The run this one builds on: whose adapters a search or evaluation uses.
        rank_counts: While elastic adapters train: groups, rank_space and counts, as in
            `engine.events.RanksSampled`.
        chosen_ranks: groups and ranks of the configuration the run's scores belong to, as in
            `engine.events.RanksChosen`.
        queue: Class of machine it is for.
        microbatch_halvings: How often the microbatch was halved because memory was short; the
            batch stays the same.
    """

    id: int
    name: str
    kind: RunKind
    state: RunState
    priority: int
    preset: str | None
    spec: dict[str, Any]
    asked: dict[str, Any]
    baseline_key: str
    is_baseline: bool
    parent_id: int | None
    attempt: int
    owner: str | None
    control: Control | None
    stage: str | None
    progress_done: int
    progress_total: int | None
    eta_seconds: float | None
    device: str | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    lease_until: datetime | None
    failure_kind: str | None
    failure_message: str | None
    failure_traceback: str | None
    environment: dict[str, str]
    estimate: dict[str, Any] | None
    size: dict[str, Any] | None
    resources: dict[str, Any] | None
    rank_counts: dict[str, Any] | None = None
    chosen_ranks: dict[str, Any] | None = None
    queue: str = "cpu"
    microbatch_halvings: int = 0


@dataclass(frozen=True)
class AttemptRecord:
    """One try of a run by one worker; `outcome` is None while it runs."""

    run_id: int
    number: int
    owner: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None


@dataclass(frozen=True)
class StageRecord:
    """One stage of a run's newest attempt; seconds are None while it lasts."""

    run_id: int
    attempt: int
    position: int
    name: str
    started_at: datetime
    seconds: float | None


@dataclass(frozen=True)
class MetricSeries:
    """One curve: steps and values in step order."""

    key: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    num_points: int


@dataclass(frozen=True)
class ScoreRecord:
    """One measured number; fields as in `engine.events.ScoreMeasured`."""

    run_id: int
    benchmark: str
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Literal["lower", "higher"]
    limited: bool
    phase: Literal["final", "before"] = "final"
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CandidateRecord:
    """One configuration a search evaluated; fields as in `engine.events.CandidateEvaluated`.

    Attributes:
        position: Its place in the order of evaluation, from 0.
    """

    run_id: int
    position: int
    ranks: tuple[int, ...]
    adapter_parameters: int
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Literal["lower", "higher"]
    origin: str
    seconds: float


@dataclass(frozen=True)
class MapScoreRecord:
    """One score of a trained model at one layer map; fields as in `engine.events.MapScored`."""

    run_id: int
    place: int
    label: str
    bits: float
    effective_bits: float
    benchmark: str
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Literal["lower", "higher"]
    limited: bool


@dataclass(frozen=True)
class SensitivityScoreRecord:
    """What one unit loses at one width; fields as in `engine.events.SensitivityScored`."""

    run_id: int
    unit: str
    bits: int
    metric: str
    value: float
    standard_error: float | None
    num_samples: int


@dataclass(frozen=True)
class LogRecord:
    """One line of a run's log; ids grow with time."""

    id: int
    run_id: int
    attempt: int
    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    message: str


@dataclass(frozen=True)
class FileRecord:
    """A file of a run: path relative to the data folder, size in bytes, SHA-256 in hex."""

    id: int
    run_id: int
    attempt: int
    kind: str
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class DraftRecord:
    """An unfinished form: its values and a revision that grows with every change."""

    id: int
    revision: int
    values: dict[str, Any]
    updated_at: datetime


@dataclass(frozen=True)
class LeaderboardRow:
    """A finished run with its scores, and the scores of its baseline beside them.

    Attributes:
        scores: "benchmark|metric" to the score.
        baseline_scores: The same keys, measured on the baseline of the same setting; empty where
            none is finished.
        tuned: True when the run trained anything.
    """

    run: RunRecord
    scores: dict[str, ScoreRecord]
    baseline_scores: dict[str, ScoreRecord]
    baseline_run_id: int | None
    tuned: bool


def to_record(record: type[Record], row: object) -> Record:
    """Copy a row into the frozen record with the same field names."""
    names = [each.name for each in fields(record)]  # type: ignore[arg-type]
    return record(**{name: getattr(row, name) for name in names})
