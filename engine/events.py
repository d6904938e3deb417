"""What a run announces while it works, and who may listen.

The engine emits these frozen events and never learns what becomes of them: the worker records
them, a test collects them, the command line prints them. Nothing here imports torch. Start with
`Listener`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Level = Literal["debug", "info", "warning", "error"]
Direction = Literal["lower", "higher"]


@dataclass(frozen=True)
class StageStarted:
    """A named part of the run began ("load", "teach", "initialize", "train", "evaluate")."""

    stage: str
    total: int | None = None


@dataclass(frozen=True)
class Progressed:
    """`done` of `total` units of the current stage are finished."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class MetricPoint:
    """One value of a curve. Keys follow Transformers: "train/loss", "train/learning_rate"."""

    key: str
    step: int
    value: float


@dataclass(frozen=True)
class ScoreMeasured:
    """One number of a benchmark, with its standard error and how many samples it rests on.

    Attributes:
        benchmark: Name of the benchmark with its data ("text/bundled:python-docs").
        metric: "perplexity", "kl_divergence", "top1_agreement", ...
        value: The number, in the metric's own unit.
        standard_error: One standard error in the same unit, or None where none is defined.
        num_samples: How many samples (tokens, questions) it was measured on.
        direction: Which way is better.
        limited: True when only a part of the data was used.
    """

    benchmark: str
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Direction
    limited: bool = False


@dataclass(frozen=True)
class SizeMeasured:
    """What the compressed model weighs, in bytes and bits per weight.

    Attributes:
        total_bytes: Whole checkpoint: quantized layers, their scales, everything kept in 16 bits.
        original_bytes: The same model with 16 bits everywhere.
        effective_bits: Bits per weight of the quantized layers, scales and zero points counted
            (16 where nothing is quantized).
        parts: Bytes by part ("weights", "scales", "zero_points", "unquantized").
    """

    total_bytes: int
    original_bytes: int
    effective_bits: float
    parts: dict[str, int]


@dataclass(frozen=True)
class FileWritten:
    """A file of the run is complete on disk.

    Attributes:
        kind: "checkpoint", "result", "export" or "report".
        path: Path relative to the run's folder.
    """

    kind: str
    path: str


@dataclass(frozen=True)
class Logged:
    """A line for the run's log."""

    level: Level
    message: str


@dataclass(frozen=True)
class EnvironmentSeen:
    """Versions, device, dtype and seed the run really used."""

    values: dict[str, str]


@dataclass(frozen=True)
class ResourcesMeasured:
    """Peak memory in bytes and seconds spent, for the record beside the estimate."""

    peak_memory_bytes: int
    seconds_by_stage: dict[str, float]


Event = (
    StageStarted
    | Progressed
    | MetricPoint
    | ScoreMeasured
    | SizeMeasured
    | FileWritten
    | Logged
    | EnvironmentSeen
    | ResourcesMeasured
)


class Listener(Protocol):
    """Anything that can be told of an event."""

    def __call__(self, event: Event, /) -> None:
        """Take note of the event; must be quick and may raise `Cancelled` to stop the run."""
