"""One layer: the distribution of its weights, its rounding error and its scores by width.

Each figure has its table beside it. Start with `draw_scores`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import write_plain
from app.plots.sensitivity_map import draw_nothing
from app.plots.sensitivity_scores import build_log_axis, unit_of_score, write_loss
from app.quantities import NOTHING, write_count, write_number
from app.text import sensitivity as text
from app.theme import SERIES_COLORS, color_of_bits
from engine.sensitivity.layer_facts import LayerFact
from tasks.store.records import SensitivityScoreRecord

FIGURE_PIXELS = 260
WIDTHS_PIXELS, LINE_PIXELS = 260, 20


@dataclass(frozen=True)
class ScoreLine:
    """What one sensitivity run found of a layer, or of the block or kind it is part of.

    Attributes:
        run_id: The run.
        name: What it is called.
        scores: By width, the lowest first.
        is_part: Whether the scores are those of a unit the layer is only a part of.
    """

    run_id: int
    name: str
    scores: tuple[SensitivityScoreRecord, ...]
    is_part: bool = False


def draw_histogram(fact: LayerFact) -> dict[str, Any]:
    """Draw how the weights are spread.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    edges, counts = fact.histogram.edges, fact.histogram.counts
    bins = list(itertools.pairwise(edges))
    trace = {
        "type": "bar",
        "x": [(low + high) / 2 for low, high in bins],
        "y": list(counts),
        "width": [high - low for low, high in bins],
        "text": [
            text.HISTOGRAM_HOVER.format(
                low=write_number(low), high=write_number(high), count=write_count(count)
            )
            for (low, high), count in zip(bins, counts, strict=True)
        ],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": SERIES_COLORS[0]},
    }
    layout = {
        "uirevision": "layer-histogram",
        "height": FIGURE_PIXELS,
        "bargap": 0,
        "showlegend": False,
        "xaxis": {"title": text.HISTOGRAM_AXIS},
        "yaxis": {"title": text.HISTOGRAM_COUNT},
    }
    aria = text.HISTOGRAM_LABEL.format(
        count=write_count(fact.num_weights),
        low=write_number(fact.minimum),
        high=write_number(fact.maximum),
    )
    return {"data": [trace], "layout": layout, "meta": {"aria": aria}}


def list_histogram(fact: LayerFact) -> dict[str, Any]:
    """Return the histogram as columns and rows for a table."""
    bins = itertools.pairwise(fact.histogram.edges)
    return {
        "columns": [text.BIN_COLUMN, text.BIN_END_COLUMN, text.COUNT],
        "rows": [
            [write_number(low), write_number(high), write_count(count)]
            for (low, high), count in zip(bins, fact.histogram.counts, strict=True)
        ],
    }


def draw_errors(fact: LayerFact) -> dict[str, Any]:
    """Draw the relative error of the weights at each width.

    Returns:
        A Plotly figure as a plain dictionary; without data where no width has an error.
    """
    errors = {bits: error for bits, error in sorted(fact.relative_error.items()) if error > 0}
    told = ", ".join(f"{write_number(error)} at {bits} bits" for bits, error in errors.items())
    trace = {
        "type": "bar",
        "x": [str(bits) for bits in errors],
        "y": list(errors.values()),
        "text": [write_number(error) for error in errors.values()],
        "textposition": "none",
        "hovertemplate": "%{x} bits: %{text}<extra></extra>",
        "marker": {"color": [color_of_bits(bits) for bits in errors]},
    }
    layout = {
        "uirevision": "layer-errors",
        "height": FIGURE_PIXELS,
        "showlegend": False,
        "xaxis": {"title": text.WIDTH_AXIS, "type": "category"},
        "yaxis": build_log_axis(text.RELATIVE_AXIS, errors.values()),
    }
    aria = text.RELATIVE_LABEL.format(told=told)
    return {"data": [trace] if errors else [], "layout": layout, "meta": {"aria": aria}}


def list_errors(fact: LayerFact) -> dict[str, Any]:
    """Return the relative errors as columns and rows for a table."""
    return {
        "columns": [text.WIDTH_COLUMN, text.RELATIVE_AXIS],
        "rows": [
            [str(bits), write_number(error)] for bits, error in sorted(fact.relative_error.items())
        ],
    }


def draw_scores(lines: Sequence[ScoreLine], metric: str, title: str) -> dict[str, Any]:
    """Draw what every run found at each width, with errors; units the layer is in are dashed.

    Args:
        lines: Of one metric.
        metric: Which.
        title: What it is called.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    shown = [line for line in lines if _list_drawn(line)]
    if not shown:
        return draw_nothing(text.SCORES_EMPTY)
    values = [score.value for line in shown for score in _list_drawn(line)]
    widths = sorted({score.bits for line in shown for score in _list_drawn(line)})
    unit = unit_of_score(metric)
    layout = {
        "uirevision": f"layer-scores-{metric}",
        "height": WIDTHS_PIXELS + LINE_PIXELS * len(shown),
        "showlegend": True,
        "xaxis": {"title": text.WIDTH_AXIS, "tickmode": "array", "tickvals": widths},
        "yaxis": build_log_axis(f"{title} ({unit})" if unit else title, values),
    }
    traces = [_build_line(line, place) for place, line in enumerate(shown)]
    aria = text.SCORES_LABEL.format(count=len(shown))
    return {"data": traces, "layout": layout, "meta": {"aria": aria}}


def list_scores(lines: Sequence[ScoreLine]) -> dict[str, Any] | None:
    """Return the scores as columns and rows for a table: a row for each run."""
    widths = sorted({score.bits for line in lines for score in line.scores})
    if not widths:
        return None
    rows = []
    for line in lines:
        found = {score.bits: write_loss(score) for score in line.scores}
        rows.append([line.name, *(found.get(bits, NOTHING) for bits in widths)])
    columns = [text.RUN_COLUMN, *(text.BITS_COLUMN.format(bits=bits) for bits in widths)]
    return {"columns": columns, "rows": rows}


def _build_line(line: ScoreLine, place: int) -> dict[str, Any]:
    drawn = _list_drawn(line)
    color = SERIES_COLORS[place % len(SERIES_COLORS)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": write_plain(line.name),
        "x": [score.bits for score in drawn],
        "y": [score.value for score in drawn],
        "error_y": {"type": "data", "array": [score.standard_error or 0 for score in drawn]},
        "text": [write_loss(score) for score in drawn],
        "customdata": [line.run_id] * len(drawn),
        "hovertemplate": f"{write_plain(line.name)}<br>%{{x}} bits: %{{text}}<extra></extra>",
        "line": {"color": color, "width": 2, "dash": "dot" if line.is_part else "solid"},
        "marker": {"color": color, "size": 7, "symbol": "square" if line.is_part else "circle"},
    }


def _list_drawn(line: ScoreLine) -> list[SensitivityScoreRecord]:
    """Return the scores that have a place on a logarithmic axis."""
    return [score for score in line.scores if math.isfinite(score.value) and score.value > 0]
