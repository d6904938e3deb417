"""A score of one trained model against the mean bits of the layer maps it was measured at.

One width for all layers is a line with error bars; named maps and widths drawn at random are marks
of their own; runs trained at one width alone are hollow. What has 16 bits is a line across, because
its place on the axis would squeeze the rest aside; its number stands in the legend. What is no
number is not drawn. Start with `draw`; what is shown stands in
`map_points`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from app.plots.map_points import Alone, MapKind, MapPoint, MapPoints, write_basis, write_value
from app.quantities import scale_of, unit_of, write_number
from app.text import maps as text
from app.theme import SERIES_COLORS
from engine.specs.quantizer import BITS_UNQUANTIZED
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
    drawn = [point for point in found.points if math.isfinite(point.score.value)]
    marks = {kind: [p for p in drawn if p.kind == kind] for kind in kinds}
    alone = [each for each in found.alone if math.isfinite(each.score.value)]
    data = [_draw_alone(found, alone)] if alone else []
    data += [_draw_kind(found, kind, points) for kind, points in marks.items() if points]
    data += _draw_lines(found)
    layout: dict[str, Any] = {
        "uirevision": f"maps-{found.benchmark}-{found.metric}",
        "xaxis": {"title": text.BITS_AXIS, "range": _find_span(found), "dtick": 1},
        "yaxis": {
            "title": {"text": _title_axis(found), "standoff": 12},
            "type": "log" if _is_log(found) else "linear",
        },
        "showlegend": True,
    }
    is_empty = not found.points and found.unrounded is None
    meta = {"aria": empty if is_empty else _tell(found), "empty": empty}
    return {"data": [] if is_empty else data, "layout": layout, "meta": meta}


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


def _draw_alone(found: MapPoints, alone: Sequence[Alone]) -> dict[str, Any]:
    """Draw runs that were trained at one width: hollow, without a line."""
    trace = _draw_marks(found, [each.score for each in alone])
    return trace | {
        "mode": "markers",
        "name": text.TRAINED,
        "text": [_describe_alone(found, each) for each in alone],
        "customdata": [each.run_id for each in alone],
        "x": [each.bits for each in alone],
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
            "array": [factor * _find_error(each) for each in scores],
            "thickness": 1.2,
            "width": 4,
        },
        "hovertemplate": "%{text}<extra></extra>",
    }


def _draw_lines(found: MapPoints) -> list[dict[str, Any]]:
    """Draw what has 16 bits as dashed lines across, named in the legend with their score."""
    lines = (
        (found.baseline, text.BASELINE_LINE, "dash"),
        (found.unrounded, text.UNROUNDED_LINE, "dot"),
    )
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": title.format(score=_write(found, score)),
            "x": [0, BITS_UNQUANTIZED],
            "y": [_factor_of(found) * score.value] * 2,
            "line": {"color": NEUTRAL_COLOR, "width": 1.5, "dash": dash},
            "hoverinfo": "skip",
        }
        for score, title, dash in lines
        if score is not None and math.isfinite(score.value)
    ]


def _describe(found: MapPoints, score: MapScoreRecord) -> str:
    """Write what hovering shows; names are escaped because Plotly reads a few tags."""
    bits = text.HOVER_BITS.format(
        bits=write_number(score.bits, 3), effective=write_number(score.effective_bits, 3)
    )
    name = html.escape(score.label, quote=False)
    told = f"{found.title} {_write(found, score)}"
    return f"<b>{name}</b><br>{bits}<br>{told}<br>{write_basis([score])}"


def _describe_alone(found: MapPoints, each: Alone) -> str:
    name = html.escape(each.name, quote=False)
    told = f"{found.title} {_write(found, each.score)}"
    how = html.escape(each.summary, quote=False)
    return f"<b>{name}</b><br>{text.TRAINED}<br>{how}<br>{told}<br>{write_basis([each.score])}"


def _write(found: MapPoints, score: MapScoreRecord | ScoreRecord) -> str:
    return write_value(score, beside=found.numbers)


def _find_error(score: MapScoreRecord | ScoreRecord) -> float:
    """Return the error as a bar needs it: nothing where none is known."""
    error = score.standard_error
    return error if error is not None and math.isfinite(error) else 0.0


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
    basis = f"<br>{found.basis}" if found.basis else ""
    return f"{found.title}{f' ({unit})' if unit else ''}, {better}{basis}"


def _tell(found: MapPoints) -> str:
    """Say the figure in one sentence, as far as a sentence goes."""
    spoken = [f"{p.score.label} {_write(found, p.score)}" for p in found.points[:SPOKEN_POINTS]]
    spoken += ["…"] if len(found.points) > SPOKEN_POINTS else []
    basis = f" ({found.basis})" if found.basis else ""
    told = text.CURVE_LABEL.format(
        metric=f"{found.title}{basis}", count=len(found.points), told=", ".join(spoken)
    )
    return told + (text.TRAINED_LABEL.format(count=len(found.alone)) if found.alone else "")
