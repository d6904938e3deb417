"""Score against adapter parameters for every configuration a search evaluated.

The named configurations carry their names, the Pareto front is a line, the best one a ring. Start
with `read_candidates`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.quantities import is_share, scale_of, unit_of, write_count, write_fixed, write_score
from app.text import ranks as text
from app.theme import SERIES_COLORS
from engine.search.ordering import find_cost, order_best_first
from engine.search.pareto import find_front
from tasks.store.records import CandidateRecord

SEARCHED = frozenset({"random", "hill-climbing", "evolutionary"})
MOST_POINTS = 2000
_MILLION = 1e6
_LOSS_DECIMALS = 4
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon")


@dataclass(frozen=True)
class Candidates:
    """What the figure shows.

    Attributes:
        metric: "loss" or "accuracy".
        direction: Which way is better.
        records: Every configuration, in the order of evaluation.
        front: Places in `records` on the Pareto front, by rising parameters.
        best: Place of the best; None where nothing has a finite score.
    """

    metric: str
    direction: Literal["lower", "higher"]
    records: tuple[CandidateRecord, ...]
    front: tuple[int, ...]
    best: int | None


def read_candidates(
    records: Sequence[CandidateRecord], *, chosen: Sequence[int] | None = None
) -> Candidates:
    """Find the front and the best among what a search evaluated.

    Args:
        records: In the order of evaluation.
        chosen: The ranks the search ended with, which are then the best; None while it runs.
    """
    direction = records[0].direction if records else "lower"
    costs = [find_cost(record) for record in records]
    front = find_front(costs, [record.adapter_parameters for record in records])
    metric = records[0].metric if records else ""
    best = _find_best(records, chosen)
    return Candidates(metric, direction, tuple(records), front, best)


def draw(found: Candidates, *, selected: int | None = None) -> dict[str, Any]:
    """Draw the points by origin, the front, the best, and a ring around the selected one.

    Returns:
        A Plotly figure as a plain dictionary; `customdata` of a marker is its position.
    """
    shown = _choose_points(found)
    origins = sorted({found.records[place].origin for place in shown}, key=_order_of_origin)
    data = [_draw_front(found)] if len(found.front) > 1 else []
    data += [_draw_origin(found, origin, shown) for origin in origins]
    if found.best is not None:
        data.append(_draw_ring(found, found.best, name=_name_best(found), is_best=True))
    if selected is not None and 0 <= selected < len(found.records):
        data.append(_draw_ring(found, selected, name=text.SELECTED, is_best=False))
    better = text.LOWER if found.direction == "lower" else text.HIGHER
    unit = f" ({unit_of(found.metric)})" if unit_of(found.metric) else ""
    title = f"{text.METRICS.get(found.metric, found.metric)}{unit}, {better}"
    layout = {
        "uirevision": "candidates",
        "xaxis": {"title": text.PARAMETERS_AXIS},
        "yaxis": {"title": {"text": title, "standoff": 12}},
        "showlegend": True,
    }
    aria = text.CANDIDATES_LABEL.format(count=len(found.records), front=len(found.front))
    meta = {"aria": aria, "empty": text.CANDIDATES_EMPTY}
    return {"data": data if found.records else [], "layout": layout, "meta": meta}


def name_origin(origin: str) -> str:
    """Return what proposed a configuration, in words."""
    return text.ORIGINS.get(origin, origin.replace("-", " "))


def describe_error(record: CandidateRecord) -> str:
    """Return a score with its standard error and unit; a loss so that close ones differ."""
    if is_share(record.metric) or not math.isfinite(record.value):
        return write_score(record.metric, record.value, record.standard_error)
    written = write_fixed(record.value, _LOSS_DECIMALS)
    error = record.standard_error
    return written if error is None else f"{written} ± {write_fixed(error, _LOSS_DECIMALS)}"


def _find_best(records: Sequence[CandidateRecord], chosen: Sequence[int] | None) -> int | None:
    """Return the chosen ranks' place, else that of the first with a score."""
    if chosen is not None:
        wanted = tuple(chosen)
        place = next((i for i, record in enumerate(records) if record.ranks == wanted), None)
        if place is not None:
            return place
    first = next(iter(order_best_first(records)), None)
    return None if first is None or not math.isfinite(first.value) else records.index(first)


def _choose_points(found: Candidates) -> list[int]:
    """Return the places to draw: all, or the named, the front and the newest of too many."""
    places = range(len(found.records))
    if len(found.records) <= MOST_POINTS:
        return list(places)
    kept = {place for place in places if found.records[place].origin not in SEARCHED}
    kept |= {*found.front, *places[-MOST_POINTS:]}
    return sorted(kept)


def _draw_front(found: Candidates) -> dict[str, Any]:
    points = [found.records[place] for place in found.front]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": text.FRONT,
        "x": [point.adapter_parameters / _MILLION for point in points],
        "y": [scale_of(found.metric) * point.value for point in points],
        "line": {"shape": "hv", "width": 1.5, "dash": "dot", "color": SERIES_COLORS[0]},
        "hoverinfo": "skip",
    }


def _draw_origin(found: Candidates, origin: str, shown: Sequence[int]) -> dict[str, Any]:
    factor = scale_of(found.metric)
    places = [place for place in shown if found.records[place].origin == origin]
    points = [found.records[place] for place in places]
    number = list(text.ORIGINS).index(origin) if origin in text.ORIGINS else len(text.ORIGINS)
    is_named = origin not in SEARCHED
    return {
        "type": "scatter",
        "mode": "markers+text" if is_named else "markers",
        "name": html.escape(name_origin(origin), quote=False),
        "x": [point.adapter_parameters / _MILLION for point in points],
        "y": [factor * point.value for point in points],
        "text": [html.escape(name_origin(origin), quote=False)] * len(points),
        "textposition": "top center",
        "textfont": {"size": 11},
        "error_y": {
            "type": "data",
            "array": [factor * (point.standard_error or 0) for point in points],
            "thickness": 1,
            "width": 3,
        },
        "customdata": [point.position for point in points],
        "hovertext": [_describe(point) for point in points],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "cliponaxis": False,
        "marker": {
            "size": 10 if is_named else 8,
            "color": SERIES_COLORS[number % len(SERIES_COLORS)],
            "symbol": _SYMBOLS[number % len(_SYMBOLS)],
        },
    }


def _draw_ring(found: Candidates, place: int, *, name: str, is_best: bool) -> dict[str, Any]:
    record = found.records[place]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [record.adapter_parameters / _MILLION],
        "y": [scale_of(found.metric) * record.value],
        "customdata": [record.position],
        "hoverinfo": "skip",
        "marker": {
            "size": 20 if is_best else 15,
            "color": SERIES_COLORS[1 if is_best else 7],
            "symbol": "star-open" if is_best else "circle-open",
            "line": {"width": 2},
        },
    }


def _name_best(found: Candidates) -> str:
    assert found.best is not None
    return text.BEST.format(score=describe_error(found.records[found.best]))


def _describe(record: CandidateRecord) -> str:
    """Write what hovering shows."""
    parameters = text.PARAMETERS.format(count=write_count(record.adapter_parameters))
    name = html.escape(name_origin(record.origin), quote=False)
    metric = text.METRICS.get(record.metric, record.metric)
    return f"<b>{name}</b><br>{metric} {describe_error(record)}<br>{parameters}"


def _order_of_origin(origin: str) -> tuple[bool, int, str]:
    """Put searched points first, so that named ones are drawn over them."""
    known = list(text.ORIGINS)
    return origin not in SEARCHED, known.index(origin) if origin in known else 99, origin
