"""What a run announces while it works, and who may listen.

The engine emits these frozen events and never learns what becomes of them: the worker records
them, a test collects them, the command line prints them. Nothing here imports torch. Start with
`Listener`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Phase = Literal["final", "before"]
Level = Literal["debug", "info", "warning", "error"]
Direction = Literal["lower", "higher"]


TEXT_BENCHMARK = "text/"
"""What the benchmark of running text begins with; its data follow."""


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
        benchmark: Name of the benchmark: "text/" with its data, or a task of lm-eval.
        metric: "perplexity", "kl_divergence", "top1_agreement", "acc_norm",
            "exact_match (strict-match)", ...
        value: The number, in the metric's own unit.
        standard_error: One standard error in the same unit, or None where none is defined.
        num_samples: How many samples (tokens, questions) it was measured on.
        direction: Which way is better.
        limited: True when only a part of the data was used.
        phase: "before" for what was measured before training.
        details: How a benchmark of lm-eval was run: "harness" ("lm-eval 0.4.13"),
            "task_version", "split", "filter", "num_fewshot", "limit"; empty for text.
    """

    benchmark: str
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Direction
    limited: bool = False
    phase: Phase = "final"
    details: dict[str, str | int | None] = field(default_factory=dict)


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
class RanksSampled:
    """How often each rank was trained so far, for each group of layers.

    Attributes:
        groups: Names of the G groups, in the model's order ("block 0", "self_attn.q_proj").
        rank_space: The R ranks, the largest first.
        counts: (G, R) optimizer steps in which the group was trained at the rank; a step that
            trains several configurations counts for each of their ranks.
    """

    groups: tuple[str, ...]
    rank_space: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CandidateEvaluated:
    """One configuration of ranks was evaluated by a search.

    Attributes:
        ranks: The rank of each group.
        adapter_parameters: Parameters of the adapters at these ranks.
        metric: "loss" or "accuracy".
        value: The score on the search's own examples, never the test split.
        standard_error: One standard error, or None.
        num_samples: Examples it rests on.
        direction: Which way is better.
        origin: What proposed it: "maximal", "median", "random", "hill-climbing", ...
        seconds: How long it took; 0 where it was known already.
    """

    ranks: tuple[int, ...]
    adapter_parameters: int
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Direction
    origin: str
    seconds: float


@dataclass(frozen=True)
class RanksChosen:
    """A search ended with these ranks, or a run measures these; one per group, in order."""

    groups: tuple[str, ...]
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class MapScored:
    """One score of a trained model at one layer map.

    Attributes:
        place: Of the map in the list of maps that was asked for, from 0.
        label: The map's name, unique within the run ("4 bits").
        bits: Mean width of the quantized weights at the map; expected where widths are drawn.
        effective_bits: The same with scales and zero points.
        benchmark: As in `ScoreMeasured`.
        metric: As in `ScoreMeasured`; of an attack also "adversarial_accuracy" and
            "token_change_rate".
        value: The number, in the metric's own unit.
        standard_error: One standard error, or None.
        num_samples: How many samples it was measured on.
        direction: Which way is better.
        limited: True when only a part of the data was used.
    """

    place: int
    label: str
    bits: float
    effective_bits: float
    benchmark: str
    metric: str
    value: float
    standard_error: float | None
    num_samples: int
    direction: Direction
    limited: bool = False


@dataclass(frozen=True)
class SensitivityScored:
    """What one unit loses at one width, alone.

    Scores of one unit, width and metric may come again, better measured: the last one holds.

    Attributes:
        unit: The layer's, block's or kind's name ("model.layers.3", "q_proj").
        bits: The width.
        metric: "kl_divergence" and "log_perplexity" (nats per token), "weight_error" (squared),
            "output_error" (squared, per token), or a task's metric, in its own unit.
        value: What is lost against the start map: positive where the width is worse, whichever
            way the metric itself points.
        standard_error: One standard error over samples, or None.
        num_samples: How many samples (windows, questions) it was measured on; 0 where on none.
    """

    unit: str
    bits: int
    metric: str
    value: float
    standard_error: float | None
    num_samples: int


@dataclass(frozen=True)
class FileWritten:
    """A file of the run is complete on disk.

    Attributes:
        kind: "spec", "checkpoint", "ranks" (what training sampled), "result", "head" (trained
            whole), "export", "report".
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
    | RanksSampled
    | CandidateEvaluated
    | RanksChosen
    | MapScored
    | SensitivityScored
    | FileWritten
    | Logged
    | EnvironmentSeen
    | ResourcesMeasured
)


class Listener(Protocol):
    """Anything that can be told of an event."""

    def __call__(self, event: Event, /) -> None:
        """Take note of the event; must be quick and may raise `Cancelled` to stop the run."""
