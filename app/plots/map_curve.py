"""A score of one trained model against the mean bits of the layer maps it was measured at.

One width for all layers is a line with error bars; named maps and widths drawn at random are marks
of their own; runs trained at one width alone are hollow. What has 16 bits is a line across, because
its place on the axis would squeeze the rest aside. Start with `draw`; what is shown stands in
`map_points`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from app.plots.map_points import Alone, MapKind, MapPoint, MapPoints
from app.quantities import scale_of, unit_of, write_number, write_score
from app.tables.metrics import name_metric
from app.text import maps as text
from app.theme import SERIES_COLORS
from tasks.store.records import MapScoreRecord, ScoreRecord

NEUTRAL_COLOR = "#7b8190"
SPOKEN_POINTS = 12
_LOG_METRICS = frozenset({"perplexity", "kl_divergence"})
_NAMES: dict[MapKind, str] = {"uniform": text.UNIFORM, "layers": text.NAMED, "random": text.RANDOM}
_SYMBOLS: dict[MapKind, str] = {"uniform": "circle", "layers": "diamond", "random": "star"}
_COLORS: dict[MapKind, str] = {
    "uniform": SERIES_COLORS[0],
    "layers": SERIES_COLORS[1],
    "random": SERIES_COLORS[6],
}


def draw(found: MapPoints, *, empty: str) -> dict[str, Any]:
    """Draw the maps by kind, the runs trained alone, and the lines of 16 bits.

    Args:
        found: What to draw.
        empty: What to say where no map has the score yet.

    Returns:
        A Plotly figure as a plain dictionary; `customdata` of a hollow mark is the run's id.
    """
    kinds: tuple[MapKind, ...] = ("uniform", "layers", "random")
    marks = {kind: [p for p in found.points if p.kind == kind] for kind in kinds}
    data = [_draw_alone(found)] if found.alone else []
    data += [_draw_kind(found, kind, points) for kind, points in marks.items() if points]
    layout: dict[str, Any] = {
        "uirevision": f"maps-{found.benchmark}-{found.metric}",
        "xaxis": {"title": text.BITS_AXIS, "range": _find_span(found), "dtick": 1},
        "yaxis": {
            "title": {"text": _title_axis(found), "standoff": 12},
            "type": "log" if _is_log(found) else "linear",
        },
        "showlegend": True,
    }
    _add_lines(layout, found)
    is_empty = not found.points and found.unrounded is None
    meta = {"aria": empty if is_empty else _tell(found), "empty": empty}
    return {"data": [] if is_empty else data or [_draw_nothing()], "layout": layout, "meta": meta}


def draw_empty(sentence: str) -> dict[str, Any]:
    """Return a figure that says why it is empty."""
    return {"data": [], "layout": {}, "meta": {"aria": sentence, "empty": sentence}}


def _draw_kind(found: MapPoints, kind: MapKind, points: Sequence[MapPoint]) -> dict[str, Any]:
    is_line = kind == "uniform" and len(points) > 1
    trace = _draw_marks(found, [point.score for point in points])
    return trace | {
        "mode": "lines+markers" if is_line else "markers",
        "name": _NAMES[kind],
        "text": [_describe(found, point.score) for point in points],
        "line": {"width": 2, "color": _COLORS[kind]},
        "x": [point.score.bits for point in points],
        "marker": {
            "size": 9 if kind == "uniform" else 12,
            "color": _COLORS[kind],
            "symbol": _SYMBOLS[kind],
        },
    }


def _draw_alone(found: MapPoints) -> dict[str, Any]:
    """Draw runs that were trained at one width: hollow, without a line."""
    trace = _draw_marks(found, [each.score for each in found.alone])
    return trace | {
        "mode": "markers",
        "name": text.TRAINED,
        "text": [_describe_alone(found, each) for each in found.alone],
        "customdata": [each.run_id for each in found.alone],
        "x": [each.bits for each in found.alone],
        "marker": {
            "size": 12,
            "color": NEUTRAL_COLOR,
            "symbol": "circle-open",
            "line": {"width": 2},
        },
    }


def _draw_marks(
    found: MapPoints, scores: Sequence[MapScoreRecord] | Sequence[ScoreRecord]
) -> dict[str, Any]:
    """Return what all marks have: heights, error bars, hovering."""
    factor = _factor_of(found)
    return {
        "type": "scatter",
        "y": [factor * each.value for each in scores],
        "error_y": {
            "type": "data",
            "array": [factor * (each.standard_error or 0) for each in scores],
            "thickness": 1.2,
            "width": 4,
        },
        "hovertemplate": "%{text}<extra></extra>",
    }


def _draw_nothing() -> dict[str, Any]:
    """Return a trace without points, so that lines across have a plot to lie in."""
    return {"type": "scatter", "x": [], "y": [], "showlegend": False, "hoverinfo": "skip"}


def _describe(found: MapPoints, score: MapScoreRecord) -> str:
    """Write what hovering shows; names are escaped because Plotly reads a few tags."""
    bits = text.HOVER_BITS.format(
        bits=write_number(score.bits, 3), effective=write_number(score.effective_bits, 3)
    )
    limit = text.ON_A_LIMIT if score.limited else ""
    name = html.escape(score.label, quote=False)
    return f"<b>{name}</b><br>{bits}<br>{name_metric(found.metric)} {_write(found, score)}{limit}"


def _describe_alone(found: MapPoints, each: Alone) -> str:
    name = html.escape(each.name, quote=False)
    told = f"{name_metric(found.metric)} {_write(found, each.score)}"
    return f"<b>{name}</b><br>{text.TRAINED}<br>{told}"


def _write(found: MapPoints, score: MapScoreRecord | ScoreRecord) -> str:
    return write_score(found.metric, score.value, score.standard_error, beside=found.numbers)


def _factor_of(found: MapPoints) -> float:
    return scale_of(found.metric, found.numbers)


def _find_span(found: MapPoints) -> list[float]:
    bits = [point.score.bits for point in found.points] + [each.bits for each in found.alone]
    return [min(bits, default=2) - 0.35, max(bits, default=8) + 0.35]


def _is_log(found: MapPoints) -> bool:
    return found.metric in _LOG_METRICS and all(height > 0 for height in found.heights)


def _title_axis(found: MapPoints) -> str:
    unit = unit_of(found.metric, found.numbers)
    better = text.LOWER if found.direction == "lower" else text.HIGHER
    return f"{name_metric(found.metric)}{f' ({unit})' if unit else ''}, {better}"


def _add_lines(layout: dict[str, Any], found: MapPoints) -> None:
    """Add the dashed lines of 16 bits and their labels at either end, in the y axis' units."""
    factor, place = _factor_of(found), {"xref": "paper", "yref": "y"}
    lines = (
        (found.baseline, text.BASELINE_LINE, "dash", "left"),
        (found.unrounded, text.UNROUNDED_LINE, "longdash", "right"),
    )
    known = [line for line in lines if line[0] is not None and math.isfinite(line[0].value)]
    layout["shapes"], layout["annotations"] = [], []
    for score, title, dash, side in known:
        assert score is not None
        height = factor * score.value
        line = {"color": NEUTRAL_COLOR, "width": 1.5, "dash": dash}
        layout["shapes"].append(
            {"type": "line", "x0": 0, "x1": 1, "y0": height, "y1": height, "line": line, **place}
        )
        layout["annotations"].append(
            {
                "text": title.format(score=_write(found, score)),
                "showarrow": False,
                "x": 0.005 if side == "left" else 0.995,
                "y": math.log10(height) if _is_log(found) else height,
                "xanchor": side,
                "yanchor": "bottom" if side == "left" else "top",
                "font": {"size": 11},
                **place,
            }
        )


def _tell(found: MapPoints) -> str:
    """Say the figure in one sentence, as far as a sentence goes."""
    spoken = [f"{p.score.label} {_write(found, p.score)}" for p in found.points[:SPOKEN_POINTS]]
    spoken += ["…"] if len(found.points) > SPOKEN_POINTS else []
    told = text.CURVE_LABEL.format(
        metric=name_metric(found.metric), count=len(found.points), told=", ".join(spoken)
    )
    return told + (text.TRAINED_LABEL.format(count=len(found.alone)) if found.alone else "")
