"""Sensitivity of blocks or kinds at one width: a bar for each, with its standard error.

Start with `draw`; `app.tables.sensitivity_table` says the same as a table.
"""

from __future__ import annotations

import math
from typing import Any

from app.plots.layer_map import shorten, write_plain
from app.plots.sensitivity_map import describe, draw_nothing
from app.plots.sensitivity_scores import (
    Sensitivity,
    build_log_axis,
    label_unit,
    unit_of_score,
    write_loss,
)
from app.text import sensitivity as text
from app.theme import STATE_COLORS, color_of_bits

BAR_PIXELS = 340


def draw(found: Sensitivity, bits: int, *, is_log: bool, empty: str = "") -> dict[str, Any]:
    """Draw the bars of a width in the model's order.

    Args:
        found: Scores of blocks or kinds.
        bits: The width.
        is_log: Whether the axis is logarithmic.
        empty: What is said where nothing is measured yet.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    here = {
        unit: score for unit, score in found.list_at(bits).items() if math.isfinite(score.value)
    }
    if not here:
        return draw_nothing(empty)
    trace = {
        "type": "bar",
        "x": [write_plain(shorten(label_unit(unit))) for unit in here],
        "y": [score.value for score in here.values()],
        "error_y": {
            "type": "data",
            "array": [score.standard_error or 0 for score in here.values()],
            "color": STATE_COLORS["queued"],
            "thickness": 1.5,
            "width": 3,
        },
        "text": [
            f"<b>{write_plain(unit)}</b><br>{write_loss(score)} {unit_of_score(found.metric)}"
            for unit, score in here.items()
        ],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": color_of_bits(bits)},
    }
    title = " ".join(filter(None, (found.title, _wrap(unit_of_score(found.metric)))))
    axis: dict[str, Any] = {"title": title, "type": "linear", "exponentformat": "power"}
    if is_log:
        axis = build_log_axis(title, [score.value for score in here.values()])
    layout = {
        "uirevision": f"sensitivity-{found.metric}-{is_log}",
        "height": BAR_PIXELS,
        "showlegend": False,
        "xaxis": {"title": text.UNIT_COLUMN[found.unit], "type": "category"},
        "yaxis": axis,
    }
    return {"data": [trace], "layout": layout, "meta": {"aria": describe(found, bits)}}


def _wrap(unit: str) -> str:
    return f"({unit})" if unit else ""
