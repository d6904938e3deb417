"""What the API answers, as pydantic models filled from the store's records.

Times are ISO 8601 in UTC; sizes bytes; lengths of time seconds; a number that is not finite null.
Start with `RunReply`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.tables.describing import SCORED_APART, describe_method, describe_model, nominal_bits
from app.tables.run_actions import Action, elapsed_seconds, list_actions, progress_ratio
from tasks.store.records import TERMINAL_STATES, RunRecord, RunState


class Reply(BaseModel):
    """The ground of all answers: read from records by attribute."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="null")


class FailureReply(Reply):
    """Why a run failed: what kind of thing, and a sentence."""

    kind: str
    message: str


class RunReply(Reply):
    """A run as it stands in a list; `progress` is the done share of the current stage, 0 to 1.

    `seconds` is how long it has run, or ran; `bits` may be a fraction, the mean over layers, and is
    null for an evaluation of layer maps and a sensitivity run, whose scores say their own.
    """

    id: int
    name: str
    kind: str
    state: RunState
    is_ended: bool
    model: str
    method: str
    preset: str | None
    bits: float | None
    is_baseline: bool
    priority: int
    attempt: int
    stage: str | None
    progress: float | None
    progress_done: int
    progress_total: int | None
    eta_seconds: float | None
    device: str | None
    is_stopping: bool
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    failure: FailureReply | None
    actions: list[Action]


class AttemptReply(Reply):
    """One try of a run; `outcome` is null while it runs."""

    number: int
    owner: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None


class StageReply(Reply):
    """One stage of the newest attempt; `seconds` is null while it lasts."""

    name: str
    started_at: datetime
    seconds: float | None


class RunDetailReply(RunReply):
    """A run with everything recorded about it.

    `parent_id` is null where the run builds on none, or on one that was deleted (`spec.parent`).
    """

    spec: dict[str, Any]
    asked: dict[str, Any]
    baseline_key: str
    parent_id: int | None
    environment: dict[str, str]
    estimate: dict[str, Any] | None
    size: dict[str, Any] | None
    resources: dict[str, Any] | None
    rank_counts: dict[str, Any] | None
    chosen_ranks: dict[str, Any] | None
    failure_traceback: str | None
    stages: list[StageReply]
    attempts: list[AttemptReply]


class RunPageReply(Reply):
    """One page of runs, newest first; ask for the next with `before_id`."""

    runs: list[RunReply]
    next_before_id: int | None
    counts: dict[str, int]


class RunsReply(Reply):
    """Runs that belong together."""

    runs: list[RunReply]


class CandidateReply(Reply):
    """One configuration of ranks that a search evaluated, never on the test split.

    `is_on_front` where no other has both a better value and fewer adapter parameters.
    """

    position: int
    ranks: list[int]
    adapter_parameters: int
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Literal["lower", "higher"]
    origin: str
    seconds: float
    is_on_front: bool


class CandidatesReply(Reply):
    """What a search evaluated, in order."""

    candidates: list[CandidateReply]


class PreviewReply(Reply):
    """What a request would become: the complete spec, and the estimate where possible.

    `problems` lists what keeps it from being submitted; `spec` is null where it is no spec at all.
    """

    spec: dict[str, Any] | None
    preset: str | None
    yaml: str
    estimate: dict[str, Any] | None
    problems: list[dict[str, str]]


class SeriesReply(Reply):
    """One curve in step order."""

    key: str
    steps: list[int]
    values: list[float]
    num_points: int


class MetricsReply(Reply):
    """The curves of a run."""

    series: list[SeriesReply]


class LogLineReply(Reply):
    """One line of the log; ids grow with time."""

    id: int
    attempt: int
    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    message: str


class LogReply(Reply):
    """Lines after the id that was asked for; go on with `last_id`."""

    lines: list[LogLineReply]
    last_id: int
    is_ended: bool


class ScoreReply(Reply):
    """One measured number with its standard error and sample count.

    `phase` is "before" for what was measured before training; `details` tell how a benchmark was
    asked: harness, task version, split, filter, shots, limit.
    """

    benchmark: str
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Literal["lower", "higher"]
    limited: bool
    phase: Literal["final", "before"]
    details: dict[str, Any]


class ScoresReply(Reply):
    """What was measured on a run."""

    scores: list[ScoreReply]


class FileReply(Reply):
    """A file of a run; `download` is its address."""

    id: int
    kind: str
    path: str
    size_bytes: int
    sha256: str
    attempt: int
    download: str


class FilesReply(Reply):
    """The files a run wrote."""

    files: list[FileReply]


def describe_run(run: RunRecord) -> dict[str, Any]:
    """Return the fields of a `RunReply` for a record."""
    failure = None
    if run.failure_message or run.failure_kind:
        failure = {"kind": run.failure_kind or "bug", "message": run.failure_message or ""}
    own = {name: getattr(run, name) for name in RunReply.model_fields if hasattr(run, name)}
    return {
        **own,
        "is_ended": run.state in TERMINAL_STATES,
        "model": describe_model(run),
        "method": describe_method(run),
        "bits": None if run.kind in SCORED_APART else nominal_bits(run),
        "progress": progress_ratio(run),
        "seconds": elapsed_seconds(run),
        "is_stopping": run.control == "cancel" and run.state not in TERMINAL_STATES,
        "failure": failure,
        "actions": list(list_actions(run)),
    }
