"""Loss, learning rates and throughput against steps, one panel each. Start with `read_curves`.

Where widths change from step to step, the width lies over the loss as steps, and each width has a
thin curve of its own; a range test before the training is a panel below with steps of its own. A
panel without points is left out. Thinning of long curves is the store's; how many points there
really were is said below the figure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.quantities import write_count
from app.text import run as text
from app.theme import SERIES_COLORS, color_of_bits
from tasks.store.records import TERMINAL_STATES, MetricSeries, RunRecord

TRIAL_PIXELS = 640
_GAP = 0.09
_WEIGHTS = {text.LOSS_AXIS: 2.2, text.TRIAL_AXIS: 1.2}
_BITS = "train/bits"
_LOWEST_BITS = "range_test/lowest_bits"
_OF_WIDTH = re.compile(r"(?P<kind>.+/loss)_(?P<bits>\d+)bit")
_BITS_AXIS = "y9"
_KINDS = ("loss", "learning_rate", "tokens_per_second")
_QUIET_COLOR = "#7b8190"


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis.

    Attributes:
        title: Title of the y axis, with its unit.
        curves: What is drawn, in order.
        can_be_log: Whether the logarithmic switch applies.
        bits: The mean width at each step, drawn over the curves; None where it never changes.
    """

    title: str
    curves: tuple[MetricSeries, ...]
    can_be_log: bool
    bits: MetricSeries | None = None

    @property
    def is_trial(self) -> bool:
        """Whether its steps are those of a range test before the training."""
        return self.title == text.TRIAL_AXIS


@dataclass(frozen=True)
class TrainingCurves:
    """What the figure shows.

    Attributes:
        panels: From top to bottom; empty where nothing is recorded yet.
        note: How many points are shown of how many; "" where all are.
        empty: What to say where there are no panels.
        trial: What a range test found; "" where there was none.
    """

    panels: tuple[Panel, ...]
    note: str
    empty: str
    trial: str = ""


def read_curves(run: RunRecord, series: Sequence[MetricSeries]) -> TrainingCurves:
    """Sort a run's curves into panels by what they measure.

    Args:
        run: Whose curves they are.
        series: In any order; others than losses, widths, learning rates and throughput are left
            out.
    """
    drawn = [each for each in series if each.steps]
    bits = next((each for each in drawn if each.key == _BITS), None)
    panels = []
    for title, kind, can_be_log in (
        (text.LOSS_AXIS, "loss", True),
        (text.RATE_AXIS, "learning_rate", True),
        (text.THROUGHPUT_AXIS, "tokens_per_second", False),
        (text.TRIAL_AXIS, "range_test", True),
    ):
        curves = tuple(sorted((s for s in drawn if _kind_of(s.key) == kind), key=_order_of_curve))
        if curves:
            above = bits if kind == "loss" and bits and len(set(bits.values)) > 1 else None
            panels.append(Panel(title, curves, can_be_log, above))
    return TrainingCurves(
        tuple(panels), _write_note(panels), _explain_empty(run), _tell_trial(drawn)
    )


def draw(curves: TrainingCurves, *, log_scale: bool) -> dict[str, Any]:
    """Draw the panels above each other with one step axis; a range test has its own.

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
    colors = iter(SERIES_COLORS * len(curves.panels))
    places = list(zip(curves.panels, _split(curves.panels), strict=True))
    for number, (panel, domain) in enumerate(places, start=1):
        axis = "y" if number == 1 else f"y{number}"
        layout[f"yaxis{number if number > 1 else ''}"] = {
            "title": {"text": panel.title, "standoff": 10},
            "domain": domain,
            "type": "log" if log_scale and panel.can_be_log else "linear",
            "exponentformat": "power",
            "nticks": 5,
        }
        if panel.bits is not None:
            data.append(_draw_bits(panel.bits))
            layout["yaxis9"] = _build_bits_axis(panel.bits, axis, domain)
        if panel.is_trial:
            layout["xaxis2"] = {"title": text.TRIAL_STEP_AXIS, "anchor": axis}
            layout[f"yaxis{number}"]["anchor"] = "x2"
        for curve in panel.curves:
            width = _OF_WIDTH.fullmatch(curve.key)
            color = color_of_bits(int(width["bits"])) if width else next(colors)
            drawn = _draw_curve(curve, axis, color)
            data.append(drawn | {"xaxis": "x2"} if panel.is_trial else drawn)
    layout["xaxis"]["position"] = min(
        (d[0] for panel, d in places if not panel.is_trial), default=0
    )
    if any(panel.is_trial for panel in curves.panels):
        layout["height"] = TRIAL_PIXELS
    notes = [(curves.note, 1.02)] + [(curves.trial, d[1]) for panel, d in places if panel.is_trial]
    layout["annotations"] = [_annotate(*note) for note in notes if note[0]]
    aria = text.CURVES_LABEL.format(names=", ".join(trace["name"] for trace in data))
    if curves.trial:
        aria = f"{aria}. {curves.trial}"
    return {"data": data, "layout": layout, "meta": {"aria": aria, "empty": curves.empty}}


def _kind_of(key: str) -> str:
    """Return what a curve measures, "" for what is not drawn; one width's loss is a loss."""
    width = _OF_WIDTH.fullmatch(key)
    if width is not None:
        return {"train/loss": "loss", "range_test/loss": "range_test"}.get(width["kind"], "")
    last = key.rpartition("/")[2]
    return next((word for word in _KINDS if last.endswith(word)), "")


def _order_of_curve(curve: MetricSeries) -> tuple[bool, int, str]:
    """Put curves of single widths first, the highest at the front, so that the whole lies above."""
    width = _OF_WIDTH.fullmatch(curve.key)
    return width is None, -int(width["bits"]) if width else 0, "" if width else curve.key


def _draw_curve(curve: MetricSeries, axis: str, color: str) -> dict[str, Any]:
    width = _OF_WIDTH.fullmatch(curve.key)
    name = text.CURVE_NAMES.get(curve.key, curve.key)
    if width is not None:
        name = text.CURVE_OF_WIDTH.get(width["kind"], curve.key).format(bits=width["bits"])
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(curve.steps) <= 2 else "lines",
        "name": name,
        "x": list(curve.steps),
        "y": list(curve.values),
        "xaxis": "x",
        "yaxis": axis,
        "line": {"color": color, "width": 1.8 if width is None else 1.1},
        "hovertemplate": "%{y:.4g}",
        "connectgaps": False,
    }


def _draw_bits(bits: MetricSeries) -> dict[str, Any]:
    """Draw the width of each step as a quiet line of steps, behind the losses."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": text.BITS_CURVE,
        "x": list(bits.steps),
        "y": list(bits.values),
        "xaxis": "x",
        "yaxis": _BITS_AXIS,
        "opacity": 0.6,
        "line": {"color": _QUIET_COLOR, "width": 1.2, "shape": "hv"},
        "hovertemplate": "%{y:.3g}",
    }


def _build_bits_axis(bits: MetricSeries, axis: str, domain: list[float]) -> dict[str, Any]:
    return {
        "title": {"text": text.BITS_AXIS, "standoff": 8},
        "overlaying": axis,
        "side": "right",
        "domain": domain,
        "range": [min(bits.values) - 0.5, max(bits.values) + 0.5],
        "dtick": 1,
        "tickformat": "d",
        "showgrid": False,
    }


def _split(panels: Sequence[Panel]) -> list[list[float]]:
    """Share the height among panels, the first at the top and the largest."""
    weights = [_WEIGHTS.get(panel.title, 1.0) for panel in panels]
    gaps = [_GAP * (2.4 if panel.is_trial else 1) for panel in panels[1:]]
    height = 1 - sum(gaps)
    domains, top = [], 1.0
    for weight, gap in zip(weights, [*gaps, 0.0], strict=False):
        bottom = top - height * weight / sum(weights)
        domains.append([max(0.0, round(bottom, 6)), round(top, 6)])
        top = bottom - gap
    return domains


def _annotate(note: str, bottom: float) -> dict[str, Any]:
    return {
        "text": note,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": bottom,
        "xanchor": "right",
        "yanchor": "bottom",
        "font": {"size": 11},
    }


def _tell_trial(series: Sequence[MetricSeries]) -> str:
    """Say which width a range test chose, by its own word; the training may not have begun."""
    found = next((each for each in series if each.key == _LOWEST_BITS), None)
    return "" if found is None else text.TRIAL_FOUND.format(bits=f"{found.values[-1]:g}")


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
