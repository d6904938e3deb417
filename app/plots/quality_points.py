"""What the figure of a score against bits shows: points of runs, their front, lines of 16 bits.

How it is drawn stands in `quality_against_bits`. Start with `read_points`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.tables.describing import (
    UNQUANTIZED_BITS,
    describe_method,
    list_child_methods,
    nominal_bits,
)
from app.tables.families import name_families
from app.tables.leaderboard_columns import size_of
from app.tables.published import PublishedScore
from engine.search.pareto import find_front
from engine.specs.presets import PRESETS
from tasks.store.records import LeaderboardRow, ScoreRecord


@dataclass(frozen=True)
class Look:
    """What a person chose to see of the figure.

    Attributes:
        families: Lines by family instead of markers by method and the Pareto front.
        adapters: Whether the bits count adapters that stay beside the weights.
    """

    families: bool = False
    adapters: bool = False


@dataclass(frozen=True)
class Point:
    """One run: effective bits, score and its standard error in the metric's unit.

    `group` is what its color tells: its method, or its family.
    """

    run_id: int
    name: str
    group: str
    nominal_bits: float
    bits: float
    score: float
    error: float | None
    limited: bool


@dataclass(frozen=True)
class QualityAgainstBits:
    """What the figure shows.

    Attributes:
        metric: "perplexity", ...
        direction: Which way is better.
        points: Every compressed run that has the score, by id.
        groups: The points' groups, each with a number that stays its own among all of the setting.
        front: Positions in `points` on the Pareto front, by rising bits.
        baseline: The baseline's score; None where it has none.
        tuned: The best score of a run that was trained in 16 bits; None where there is none.
        published: What others measured of other models, narrower than 16 bits.
        look: What a person chose to see.
    """

    metric: str
    direction: Literal["lower", "higher"]
    points: tuple[Point, ...]
    groups: Mapping[str, int]
    front: tuple[int, ...]
    baseline: float | None
    tuned: float | None = None
    published: tuple[PublishedScore, ...] = ()
    look: Look = field(default_factory=Look)

    @property
    def lines(self) -> tuple[float | None, float | None]:
        """The scores of the baseline and of the best run trained in 16 bits, where drawable."""
        one, other = (
            score if score is not None and math.isfinite(score) else None
            for score in (self.baseline, self.tuned)
        )
        return one, other


def read_points(
    rows: Sequence[LeaderboardRow],
    key: str,
    *,
    look: Look | None = None,
    published: Sequence[PublishedScore] = (),
    members: Sequence[LeaderboardRow] = (),
) -> QualityAgainstBits:
    """Take from runs of one setting the score `key` ("benchmark|metric") and the effective bits.

    Args:
        rows: The runs to show.
        key: Of the score.
        look: What a person chose to see.
        published: What others measured.
        members: All runs of the setting; those to show where none are given.
    """
    look = look or Look()
    named = _name_groups(members or rows, look)
    found = sorted(
        ((row.run.id, row) for row in rows if key in row.scores), key=operator.itemgetter(0)
    )
    points = tuple(
        point
        for _, row in found
        if (point := _read_point(row, row.scores[key], named, look)) is not None
    )
    metric = key.rpartition("|")[2]
    example = next((row.scores[key] for _, row in found), None)
    direction = example.direction if example else "lower"
    sign = 1 if direction == "lower" else -1
    front = find_front([sign * point.score for point in points], [point.bits for point in points])
    baselines = [row.baseline_scores[key].value for row in rows if key in row.baseline_scores]
    return QualityAgainstBits(
        metric,
        direction,
        points,
        _number_groups(points, set(named.values()), look),
        front,
        baselines[0] if baselines else None,
        tuned=_find_tuned([row for _, row in found], key, sign),
        published=tuple(each for each in published if each.bits < UNQUANTIZED_BITS),
        look=look,
    )


def _name_groups(rows: Sequence[LeaderboardRow], look: Look) -> dict[int, str]:
    """Return the method or the family of every compressed run, by its id."""
    compressed = [row.run for row in rows if not is_in_16_bits(row)]
    if look.families:
        return name_families(compressed)
    return {run.id: describe_method(run) for run in compressed}


def _number_groups(points: Sequence[Point], everywhere: set[str], look: Look) -> dict[str, int]:
    """Number groups so that a filter changes no number: known methods first, others by name."""
    known = []
    if not look.families:
        known = [*(preset.title for preset in PRESETS), *list_child_methods()]
    order = [*known, *sorted(everywhere.difference(known))]
    shown = {point.group for point in points}
    return {group: number for number, group in enumerate(order) if group in shown}


def _read_point(
    row: LeaderboardRow, score: ScoreRecord, groups: Mapping[int, str], look: Look
) -> Point | None:
    bits = _count_bits(row, look)
    if bits is None or is_in_16_bits(row) or not math.isfinite(score.value):
        return None
    return Point(
        row.run.id,
        row.run.name,
        groups[row.run.id],
        nominal_bits(row.run),
        bits,
        score.value,
        score.standard_error,
        score.limited,
    )


def _count_bits(row: LeaderboardRow, look: Look) -> float | None:
    """Return effective bits, with the adapters' where these are counted and stay."""
    bits, parts = size_of(row, "effective_bits"), (row.run.size or {}).get("parts") or {}
    stored = sum(parts.get(name, 0) for name in ("weights", "scales", "zero_points"))
    if bits is None or not look.adapters or not stored:
        return bits
    return bits * (1 + parts.get("adapters", 0) / stored)


def is_in_16_bits(row: LeaderboardRow) -> bool:
    """Whether nothing of a run is quantized."""
    return row.run.is_baseline or nominal_bits(row.run) >= UNQUANTIZED_BITS


def _is_trained(row: LeaderboardRow) -> bool:
    training = row.run.spec.get("training") or {}
    return not row.run.is_baseline and training.get("method", "none") != "none"


def _find_tuned(rows: Sequence[LeaderboardRow], key: str, sign: int) -> float | None:
    """Return the best score of what was trained in 16 bits."""
    scores = [row.scores[key].value for row in rows if is_in_16_bits(row) and _is_trained(row)]
    return min(
        (each for each in scores if math.isfinite(each)), key=lambda s: sign * s, default=None
    )
