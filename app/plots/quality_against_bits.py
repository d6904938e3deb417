"""A score against effective bits, one marker per run, the Pareto front as a line.

The 16-bit baseline is a dashed line, because its 16 bits would squeeze everything else aside.
Start with `read_points`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.quantities import scale_of, unit_of, write_number, write_score
from app.tables.describing import describe_method, list_child_methods
from app.tables.leaderboard_columns import size_of
from app.tables.metrics import name_metric
from app.text import leaderboard as text
from app.theme import BITS_SYMBOLS, SERIES_COLORS
from engine.search.pareto import find_front
from engine.specs.presets import PRESETS
from tasks.store.records import LeaderboardRow, ScoreRecord

_SYMBOLS = tuple(BITS_SYMBOLS.values())
_LOG_METRICS = frozenset({"perplexity", "kl_divergence"})


@dataclass(frozen=True)
class Point:
    """One run: effective bits, score and its standard error in the metric's unit."""

    run_id: int
    name: str
    method: str
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
        front: Positions in `points` on the Pareto front, by rising bits.
        baseline: The baseline's score; None where it has none or is 0.
    """

    metric: str
    direction: Literal["lower", "higher"]
    points: tuple[Point, ...]
    front: tuple[int, ...]
    baseline: float | None


def read_points(rows: Sequence[LeaderboardRow], key: str) -> QualityAgainstBits:
    """Take from runs of one setting the score `key` ("benchmark|metric") and the effective bits."""
    found = sorted((row.run.id, row) for row in rows if key in row.scores)
    points = tuple(
        point for _, row in found if (point := _read_point(row, row.scores[key])) is not None
    )
    metric = key.rpartition("|")[2]
    example = next((row.scores[key] for _, row in found), None)
    direction = example.direction if example else "lower"
    sign = 1 if direction == "lower" else -1
    front = find_front([sign * point.score for point in points], [point.bits for point in points])
    baselines = [row.baseline_scores[key].value for row in rows if key in row.baseline_scores]
    baseline = baselines[0] if baselines and baselines[0] else None
    return QualityAgainstBits(metric, direction, points, front, baseline)


def draw(found: QualityAgainstBits) -> dict[str, Any]:
    """Draw the points by method, the front and the baseline.

    Returns:
        A Plotly figure as a plain dictionary; `customdata` of a marker is the run's id.
    """
    factor = scale_of(found.metric)
    data = [_draw_front(found, factor)] if len(found.front) > 1 else []
    for method in _order_methods({point.method for point in found.points}):
        data.append(_draw_method(found, method, factor))
    layout: dict[str, Any] = {
        "uirevision": found.metric,
        "xaxis": {"title": text.BITS_AXIS, "range": _bits_range(found)},
        "yaxis": {
            "title": {"text": _title_axis(found), "standoff": 12},
            "type": "log" if _is_log(found) else "linear",
            **_choose_ticks(found),
        },
        "showlegend": True,
    }
    if found.baseline is not None and found.points:
        _add_baseline(layout, found, factor)
    aria = text.FIGURE_LABEL.format(
        metric=name_metric(found.metric), count=len(found.points), front=len(found.front)
    )
    return {"data": data, "layout": layout, "meta": {"aria": aria, "empty": text.FIGURE_EMPTY}}


def _read_point(row: LeaderboardRow, score: ScoreRecord) -> Point | None:
    bits = size_of(row, "effective_bits")
    if bits is None or row.run.is_baseline or not math.isfinite(score.value):
        return None
    return Point(
        row.run.id,
        row.run.name,
        describe_method(row.run),
        bits,
        score.value,
        score.standard_error,
        score.limited,
    )


def _draw_front(found: QualityAgainstBits, factor: float) -> dict[str, Any]:
    points = [found.points[position] for position in found.front]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": text.FRONT,
        "x": [point.bits for point in points],
        "y": [factor * point.score for point in points],
        "line": {"shape": "hv", "width": 1.5, "dash": "dot", "color": SERIES_COLORS[0]},
        "hoverinfo": "skip",
    }


def _draw_method(found: QualityAgainstBits, method: str, factor: float) -> dict[str, Any]:
    points = [point for point in found.points if point.method == method]
    number = _number_of(method)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(method, quote=False),
        "x": [point.bits for point in points],
        "y": [factor * point.score for point in points],
        "error_y": {
            "type": "data",
            "array": [factor * (point.error or 0) for point in points],
            "thickness": 1.2,
            "width": 4,
        },
        "text": [_describe(point, found.metric) for point in points],
        "customdata": [point.run_id for point in points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "size": 11,
            "color": SERIES_COLORS[number % len(SERIES_COLORS)],
            "symbol": _SYMBOLS[number % len(_SYMBOLS)],
        },
    }


def _describe(point: Point, metric: str) -> str:
    """Write what hovering shows; names are escaped because Plotly reads a few tags."""
    name = html.escape(point.name, quote=False)
    score = write_score(metric, point.score, point.error)
    limit = text.ON_A_LIMIT if point.limited else ""
    bits = write_number(point.bits, 3)
    return f"<b>{name}</b><br>{bits} effective bits<br>{name_metric(metric)} {score}{limit}"


def _order_methods(methods: set[str]) -> list[str]:
    return sorted(methods, key=lambda method: (_number_of(method), method))


def _number_of(method: str) -> int:
    """Return a number that stays the method's own, whatever else is drawn."""
    titles = [*(preset.title for preset in PRESETS), *list_child_methods()]
    if method in titles:
        return titles.index(method)
    return len(titles) + sum(map(ord, method)) % len(SERIES_COLORS)


def _bits_range(found: QualityAgainstBits) -> list[float]:
    bits = [point.bits for point in found.points] or [2, 8]
    return [min(bits) - 0.35, max(bits) + 0.35]


def _is_log(found: QualityAgainstBits) -> bool:
    return found.metric in _LOG_METRICS and all(point.score > 0 for point in found.points)


def _choose_ticks(found: QualityAgainstBits) -> dict[str, Any]:
    """Label powers of ten alone where a logarithmic axis spans more than two of them."""
    scores = [point.score for point in found.points]
    if not _is_log(found) or not scores or max(scores) / min(scores) < 100:
        return {}
    return {"dtick": 1, "tickformat": "~s"}


def _title_axis(found: QualityAgainstBits) -> str:
    unit = f" ({unit_of(found.metric)})" if unit_of(found.metric) else ""
    better = text.LOWER if found.direction == "lower" else text.HIGHER
    return f"{name_metric(found.metric)}{unit}, {better}"


def _add_baseline(layout: dict[str, Any], found: QualityAgainstBits, factor: float) -> None:
    """Add the dashed line and its label at the left, both in the y axis' units."""
    height = factor * (found.baseline or 0)
    place = {"xref": "paper", "yref": "y"}
    line = {"color": "#7b8190", "width": 1.5, "dash": "dash"}
    layout["shapes"] = [
        {"type": "line", "x0": 0, "x1": 1, "y0": height, "y1": height, "line": line, **place}
    ]
    written = write_score(found.metric, found.baseline or 0)
    layout["annotations"] = [
        {
            "text": text.BASELINE_LINE.format(score=written),
            "showarrow": False,
            "x": 0.005,
            "y": math.log10(height) if _is_log(found) else height,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"size": 11},
            **place,
        }
    ]
