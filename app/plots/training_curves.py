"""Loss, learning rates and throughput against steps, one panel each. Start with `read_curves`.

A panel without points is left out. Thinning of long curves is the store's; how many points there
really were is said below the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.quantities import write_count
from app.text import run as text
from app.theme import SERIES_COLORS
from tasks.store.records import TERMINAL_STATES, MetricSeries, RunRecord

_GAP = 0.09
_WEIGHTS = (2.2, 1.0, 1.0)


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis.

    Attributes:
        title: Title of the y axis, with its unit.
        curves: What is drawn, in order.
        can_be_log: Whether the logarithmic switch applies.
    """

    title: str
    curves: tuple[MetricSeries, ...]
    can_be_log: bool


@dataclass(frozen=True)
class TrainingCurves:
    """What the figure shows.

    Attributes:
        panels: From top to bottom; empty where nothing is recorded yet.
        note: How many points are shown of how many; "" where all are.
        empty: What to say where there are no panels.
    """

    panels: tuple[Panel, ...]
    note: str
    empty: str


def read_curves(run: RunRecord, series: Sequence[MetricSeries]) -> TrainingCurves:
    """Sort a run's curves into panels by what they measure.

    Args:
        run: Whose curves they are.
        series: In any order; others than losses, learning rates and throughput are left out.
    """
    panels = []
    for title, word, can_be_log in (
        (text.LOSS_AXIS, "loss", True),
        (text.RATE_AXIS, "learning_rate", True),
        (text.THROUGHPUT_AXIS, "tokens_per_second", False),
    ):
        curves = tuple(s for s in series if s.steps and s.key.rpartition("/")[2].endswith(word))
        if curves:
            panels.append(Panel(title, curves, can_be_log))
    return TrainingCurves(tuple(panels), _write_note(panels), _explain_empty(run))


def draw(curves: TrainingCurves, *, log_scale: bool) -> dict[str, Any]:
    """Draw the panels above each other with one step axis.

    Args:
        curves: What to draw.
        log_scale: Whether losses and learning rates are drawn on logarithmic axes.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    layout: dict[str, Any] = {
        "uirevision": f"training-{log_scale}",
        "hovermode": "x unified",
        "xaxis": {"title": text.STEP_AXIS, "rangemode": "tozero", "anchor": "free", "position": 0},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
    data: list[dict[str, Any]] = []
    domains = _split(len(curves.panels))
    for number, (panel, domain) in enumerate(zip(curves.panels, domains, strict=True), start=1):
        axis = "y" if number == 1 else f"y{number}"
        layout[f"yaxis{number if number > 1 else ''}"] = {
            "title": {"text": panel.title, "standoff": 10},
            "domain": domain,
            "type": "log" if log_scale and panel.can_be_log else "linear",
            "exponentformat": "power",
            "nticks": 5,
        }
        for curve in panel.curves:
            data.append(_draw_curve(curve, axis, SERIES_COLORS[len(data) % len(SERIES_COLORS)]))
    if curves.note:
        layout["annotations"] = [_annotate(curves.note)]
    aria = text.CURVES_LABEL.format(names=", ".join(trace["name"] for trace in data))
    return {"data": data, "layout": layout, "meta": {"aria": aria, "empty": curves.empty}}


def _draw_curve(curve: MetricSeries, axis: str, color: str) -> dict[str, Any]:
    is_short = len(curve.steps) <= 2
    return {
        "type": "scatter",
        "mode": "lines+markers" if is_short else "lines",
        "name": text.CURVE_NAMES.get(curve.key, curve.key),
        "x": list(curve.steps),
        "y": list(curve.values),
        "xaxis": "x",
        "yaxis": axis,
        "line": {"color": color, "width": 1.8},
        "hovertemplate": "%{y:.4g}",
        "connectgaps": False,
    }


def _split(count: int) -> list[list[float]]:
    """Share the height among panels, the first at the top and the largest."""
    weights = _WEIGHTS[:count]
    height = 1 - _GAP * max(0, count - 1)
    domains, top = [], 1.0
    for weight in weights:
        bottom = top - height * weight / sum(weights)
        domains.append([max(0.0, round(bottom, 6)), round(top, 6)])
        top = bottom - _GAP
    return domains


def _annotate(note: str) -> dict[str, Any]:
    return {
        "text": note,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": 1.02,
        "xanchor": "right",
        "yanchor": "bottom",
        "font": {"size": 11},
    }


def _write_note(panels: Sequence[Panel]) -> str:
    curves = [curve for panel in panels for curve in panel.curves]
    longest = max(curves, key=lambda curve: curve.num_points, default=None)
    if longest is None or len(longest.steps) >= longest.num_points:
        return ""
    shown, total = write_count(len(longest.steps)), write_count(longest.num_points)
    return text.THINNED.format(shown=shown, total=total)


def _explain_empty(run: RunRecord) -> str:
    if run.spec.get("training", {}).get("method", "none") == "none":
        return text.NO_TRAINING
    return text.NO_CURVES_ENDED if run.state in TERMINAL_STATES else text.NO_CURVES_YET
