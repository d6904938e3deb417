"""What the figure of a score against mean bits shows: maps, runs trained alone, lines of 16 bits.

How it is drawn stands in `map_curve`, the same numbers as a table in `app.tables.map_table`. Start
with `read_points`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.quantities import write_count, write_score
from app.tables.metrics import name_benchmark, name_metric, order_of_metric
from app.text import maps as text
from engine.specs.attack import ATTACKED
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.store.map_scores import TrainedPoint
from tasks.store.records import MapScoreRecord, ScoreRecord

_ATTACKED = ATTACKED.format(benchmark="")
MapKind = Literal["uniform", "layers", "random"]


@dataclass(frozen=True)
class MapPoint:
    """One score at one map."""

    kind: MapKind
    score: MapScoreRecord


@dataclass(frozen=True)
class Alone:
    """The same score of a run that was trained at one width; `summary` says how, in words."""

    run_id: int
    name: str
    bits: int
    summary: str
    score: ScoreRecord


@dataclass(frozen=True)
class MapPoints:
    """What the figure shows.

    Attributes:
        benchmark: Of the score.
        metric: "perplexity", ...
        direction: Which way is better.
        points: Every map that rounds something, by rising mean bits.
        unrounded: The score of the same model with every weight in 16 bits; None where not asked.
        alone: Runs that were trained at one width, by rising bits.
        baseline: The untuned 16-bit model's score; None where it has none.
    """

    benchmark: str
    metric: str
    direction: Literal["lower", "higher"]
    points: tuple[MapPoint, ...]
    unrounded: MapScoreRecord | None
    alone: tuple[Alone, ...]
    baseline: ScoreRecord | None

    @property
    def numbers(self) -> tuple[float | None, ...]:
        """All scores and errors, which are read in one unit."""
        own = [point.score for point in self.points]
        rest = [self.unrounded, self.baseline, *(each.score for each in self.alone)]
        known = [*own, *(each for each in rest if each is not None)]
        return tuple(n for each in known for n in (each.value, each.standard_error))

    @property
    def undrawn(self) -> tuple[MapScoreRecord, ...]:
        """The scores of maps that have no height, such as what is not a number."""
        own = (*(point.score for point in self.points), self.unrounded)
        return tuple(each for each in own if each is not None and not math.isfinite(each.value))

    @property
    def basis(self) -> str:
        """On how much the maps were measured."""
        own = (*(point.score for point in self.points), self.unrounded)
        return write_basis([each for each in own if each is not None])

    @property
    def title(self) -> str:
        """What the score is called."""
        return name_score(self.benchmark, self.metric)

    @property
    def heights(self) -> tuple[float, ...]:
        """Every score that can be drawn."""
        lines = (each.value for each in (self.unrounded, self.baseline) if each is not None)
        marks = (point.score.value for point in self.points)
        values = (*marks, *lines, *(each.score.value for each in self.alone))
        return tuple(value for value in values if math.isfinite(value))


def list_metrics(scores: Sequence[MapScoreRecord]) -> dict[str, str]:
    """Return the scores there are, "benchmark|metric" to title.

    Texts come first, then benchmarks, the well-known scores first, and last what an attack left.
    """
    found = {key_of(score): score for score in scores}
    names = [name_score(score.benchmark, score.metric) for score in found.values()]
    titles = {}
    for key, score in sorted(found.items(), key=lambda each: (_order(each[1]), each[0])):
        titles[key] = name_score(score.benchmark, score.metric)
        if names.count(titles[key]) > 1:
            titles[key] += f", {name_benchmark(score.benchmark)}"
    return titles


def list_choices(scores: Sequence[MapScoreRecord]) -> dict[str, str]:
    """Return the same with how many samples each rests on, where that is not the same for all."""
    titles = list_metrics(scores)
    counts = {
        key: write_count_of([score for score in scores if key_of(score) == key]) for key in titles
    }
    if len(set(counts.values())) == 1:
        return titles
    return {key: f"{title} ({counts[key]})" for key, title in titles.items()}


def name_score(benchmark: str, metric: str) -> str:
    """Return what a score is called; attacked texts have an accuracy of their own."""
    is_clean = metric == "accuracy" and benchmark.endswith(_ATTACKED)
    return text.BEFORE_ATTACK if is_clean else name_metric(metric)


def write_basis(scores: Sequence[MapScoreRecord | ScoreRecord]) -> str:
    """Say on how much scores were measured: "limit, n = 4 080", "n = 60 to 90"."""
    if not scores:
        return ""
    limit = [text.LIMIT] if any(score.limited for score in scores) else []
    return ", ".join([*limit, write_count_of(scores)])


def write_count_of(scores: Sequence[MapScoreRecord | ScoreRecord]) -> str:
    """Say how many samples scores rest on, from the fewest to the most."""
    counts = [score.num_samples for score in scores]
    low, high = min(counts), max(counts)
    if low == high:
        return text.NUM_SAMPLES.format(count=write_count(low))
    return text.NUM_SAMPLES_SPAN.format(low=write_count(low), high=write_count(high))


def write_value(
    score: MapScoreRecord | ScoreRecord, *, beside: Collection[float | None] = ()
) -> str:
    """Write a score with its error; what is not a number in words."""
    if math.isnan(score.value):
        return text.NOT_A_NUMBER
    return write_score(score.metric, score.value, score.standard_error, beside=beside)


def key_of(score: MapScoreRecord | ScoreRecord) -> str:
    """Return what names a score among those of a map: "benchmark|metric"."""
    return f"{score.benchmark}|{score.metric}"


def read_points(
    scores: Sequence[MapScoreRecord],
    maps: Sequence[Mapping[str, Any]],
    key: str,
    *,
    trained: Sequence[TrainedPoint] = (),
    baseline: Sequence[ScoreRecord] = (),
) -> MapPoints:
    """Take one score from all that were measured.

    Args:
        scores: What an evaluation of maps measured so far.
        maps: The maps it was asked for, as its spec has them.
        key: Of the score, as `list_metrics` returns it.
        trained: Runs that were trained at one width each.
        baseline: The final scores of the baseline.
    """
    own = [score for score in scores if key_of(score) == key]
    benchmark, _, metric = key.rpartition("|")
    points = [MapPoint(find_kind(maps, each.place), each) for each in own]
    rounded = [point for point in points if not _is_unrounded(point)]
    theirs = [
        Alone(run.run_id, run.name, run.bits, run.summary, score)
        for run in trained
        for score in run.scores
        if key_of(score) == key and run.bits < BITS_UNQUANTIZED
    ]
    return MapPoints(
        benchmark,
        metric,
        own[0].direction if own else "lower",
        tuple(sorted(rounded, key=lambda point: (point.score.bits, point.score.place))),
        next((point.score for point in points if _is_unrounded(point)), None),
        tuple(sorted(theirs, key=lambda each: (each.bits, each.run_id))),
        next((score for score in baseline if key_of(score) == key), None),
    )


def find_kind(maps: Sequence[Mapping[str, Any]], place: int) -> MapKind:
    """Return what kind of map stands at a place of what was asked for."""
    kind = maps[place].get("map") if place < len(maps) else None
    return kind if kind in ("layers", "random") else "uniform"


def _is_unrounded(point: MapPoint) -> bool:
    return point.kind == "uniform" and point.score.bits >= BITS_UNQUANTIZED


def _order(score: MapScoreRecord) -> tuple[bool, bool, int]:
    is_attack = score.benchmark.endswith(_ATTACKED)
    return "/" not in score.benchmark, is_attack, order_of_metric(score.metric)
