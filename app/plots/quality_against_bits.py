"""A score against effective bits, one marker per run: by method with the front, or by family.

A family are runs that differ in width alone; a line joins the best of each width. Runs in 16 bits
are dashed lines, because their 16 bits would squeeze everything else aside. What others published
is hollow and dotted, and counts for nothing. Start with `draw`; what is shown stands in
`quality_points`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Collection
from typing import Any

from app.plots.quality_points import Point, QualityAgainstBits
from app.quantities import scale_of, unit_of, write_bits, write_number, write_score
from app.tables.metrics import name_metric
from app.tables.published import PublishedScore
from app.text import leaderboard as text
from app.theme import BITS_SYMBOLS, SERIES_COLORS

_SYMBOLS = tuple(BITS_SYMBOLS.values())
NEUTRAL_COLOR = "#7b8190"
_LOG_METRICS = frozenset({"perplexity", "kl_divergence"})


def draw(found: QualityAgainstBits) -> dict[str, Any]:
    """Draw the points by method or family, the front, what was published, and the 16-bit lines.

    Returns:
        A Plotly figure as a plain dictionary; `customdata` of a marker is the run's id.
    """
    factor = scale_of(found.metric, _list_numbers(found))
    data = []
    if found.look.families:
        data += [_draw_family(found, *each, factor) for each in found.groups.items()]
    elif len(found.front) > 1:
        data.append(_draw_front(found, factor))
    data += [_draw_group(found, *each, factor) for each in found.groups.items()]
    data += _draw_published(found, factor)
    layout: dict[str, Any] = {
        "uirevision": found.metric,
        "xaxis": {"title": _title_bits(found), "range": _bits_range(found)},
        "yaxis": {
            "title": {"text": _title_axis(found), "standoff": 12},
            "type": "log" if _is_log(found) else "linear",
            **_choose_ticks(found),
        },
        "showlegend": True,
    }
    if found.points:
        _add_lines(layout, found, factor)
    label = text.FAMILIES_LABEL if found.look.families else text.FIGURE_LABEL
    aria = label.format(
        metric=name_metric(found.metric),
        count=len(found.points),
        front=len(found.front),
        groups=len(found.groups),
    )
    if found.published and found.points:
        aria += text.PUBLISHED_LABEL.format(count=len(found.published))
    data = data if found.points else []
    return {"data": data, "layout": layout, "meta": {"aria": aria, "empty": text.FIGURE_EMPTY}}


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


def _draw_family(
    found: QualityAgainstBits, group: str, number: int, factor: float
) -> dict[str, Any]:
    """Join the best run of each nominal width; a run repeated or mixed otherwise stays beside."""
    sign = 1 if found.direction == "lower" else -1
    best: dict[float, Point] = {}
    for point in found.points:
        if point.group == group:
            known = best.get(point.nominal_bits, point)
            best[point.nominal_bits] = min(known, point, key=lambda each: sign * each.score)
    points = sorted(best.values(), key=lambda each: each.bits)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": html.escape(group, quote=False),
        "legendgroup": html.escape(group, quote=False),
        "showlegend": False,
        "x": [point.bits for point in points],
        "y": [factor * point.score for point in points],
        "line": {"width": 1.5, "color": _color_of(number)},
        "hoverinfo": "skip",
    }


def _draw_published(found: QualityAgainstBits, factor: float) -> list[dict[str, Any]]:
    """Draw what others measured: hollow, dotted, gray, one line for each model and method."""
    by_name: dict[str, list[PublishedScore]] = {}
    for each in found.published:
        by_name.setdefault(each.name, []).append(each)
    traces = []
    for number, (name, scores) in enumerate(by_name.items()):
        scores.sort(key=lambda each: each.bits)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(scores) > 1 else "markers",
                "name": text.PUBLISHED_NAME.format(name=name),
                "x": [each.bits for each in scores],
                "y": [factor * each.value for each in scores],
                "error_y": {
                    "type": "data",
                    "array": [factor * (each.error or 0) for each in scores],
                    "thickness": 1,
                    "width": 3,
                },
                "text": [_describe_published(each) for each in scores],
                "hovertemplate": "%{text}<extra></extra>",
                "line": {"dash": "dot", "width": 1, "color": NEUTRAL_COLOR},
                "marker": {
                    "size": 9,
                    "color": NEUTRAL_COLOR,
                    "symbol": f"{_SYMBOLS[number % len(_SYMBOLS)]}-open",
                },
            }
        )
    return traces


def _describe_published(score: PublishedScore) -> str:
    written = write_score(score.metric, score.value, score.error)
    bits = text.PUBLISHED_BITS.format(bits=write_bits(score.bits))
    name = text.PUBLISHED_NAME.format(name=score.name)
    return f"<b>{name}</b><br>{bits}<br>{name_metric(score.metric)} {written}"


def _draw_group(
    found: QualityAgainstBits, group: str, number: int, factor: float
) -> dict[str, Any]:
    points = [point for point in found.points if point.group == group]
    numbers = _list_numbers(found)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(group, quote=False),
        "legendgroup": html.escape(group, quote=False),
        "x": [point.bits for point in points],
        "y": [factor * point.score for point in points],
        "error_y": {
            "type": "data",
            "array": [factor * (point.error or 0) for point in points],
            "thickness": 1.2,
            "width": 4,
        },
        "text": [_describe(point, found.metric, numbers) for point in points],
        "customdata": [point.run_id for point in points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 11, "color": _color_of(number), "symbol": _symbol_of(number)},
    }


def _color_of(number: int) -> str:
    return SERIES_COLORS[number % len(SERIES_COLORS)]


def _symbol_of(number: int) -> str:
    """Return another symbol for the same color each time the colors have gone round."""
    return _SYMBOLS[(number + number // len(SERIES_COLORS)) % len(_SYMBOLS)]


def _describe(point: Point, metric: str, beside: Collection[float | None]) -> str:
    """Write what hovering shows; names are escaped because Plotly reads a few tags."""
    name = html.escape(point.name, quote=False)
    score = write_score(metric, point.score, point.error, beside=beside)
    limit = text.ON_A_LIMIT if point.limited else ""
    bits = write_number(point.bits, 3)
    return f"<b>{name}</b><br>{bits} effective bits<br>{name_metric(metric)} {score}{limit}"


def _bits_range(found: QualityAgainstBits) -> list[float]:
    own = [point.bits for point in found.points]
    bits = [*own, *(each.bits for each in found.published)] or [2, 8]
    return [min(bits) - 0.35, max(bits) + 0.35]


def _list_heights(found: QualityAgainstBits) -> list[float]:
    own = [point.score for point in found.points]
    lines = [score for score in found.lines if score is not None]
    return [*own, *lines, *(each.value for each in found.published)]


def _list_numbers(found: QualityAgainstBits) -> list[float | None]:
    """Return all scores and errors, which are read in one unit."""
    errors = (*(point.error for point in found.points), *(p.error for p in found.published))
    return [*_list_heights(found), *errors]


def _is_log(found: QualityAgainstBits) -> bool:
    return found.metric in _LOG_METRICS and all(height > 0 for height in _list_heights(found))


def _choose_ticks(found: QualityAgainstBits) -> dict[str, Any]:
    """Label powers of ten alone where a logarithmic axis spans more than two of them."""
    heights = _list_heights(found)
    if not _is_log(found) or not heights or max(heights) / min(heights) < 100:
        return {}
    return {"dtick": 1, "tickformat": "~s"}


def _title_bits(found: QualityAgainstBits) -> str:
    return text.BITS_AXIS_ADAPTERS if found.look.adapters else text.BITS_AXIS


def _title_axis(found: QualityAgainstBits) -> str:
    unit = unit_of(found.metric, _list_numbers(found))
    unit = f" ({unit})" if unit else ""
    better = text.LOWER if found.direction == "lower" else text.HIGHER
    return f"{name_metric(found.metric)}{unit}, {better}"


def _add_lines(layout: dict[str, Any], found: QualityAgainstBits, factor: float) -> None:
    """Add the dashed lines of 16-bit runs and their labels at the left, in the y axis' units."""
    place = {"xref": "paper", "yref": "y"}
    baseline, tuned = found.lines
    lines = ((baseline, text.BASELINE_LINE, "dash"), (tuned, text.TUNED_LINE, "longdash"))
    known = [(score, title, dash) for score, title, dash in lines if score is not None]
    numbers = _list_numbers(found)
    layout["shapes"] = [
        {
            "type": "line",
            "x0": 0,
            "x1": 1,
            "y0": factor * score,
            "y1": factor * score,
            "line": {"color": NEUTRAL_COLOR, "width": 1.5, "dash": dash},
            **place,
        }
        for score, _, dash in known
    ]
    layout["annotations"] = [
        {
            "text": title.format(score=write_score(found.metric, score, beside=numbers)),
            "showarrow": False,
            "x": 0.005,
            "y": math.log10(factor * score) if _is_log(found) else factor * score,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"size": 11},
            **place,
        }
        for score, title, _ in known
    ]
