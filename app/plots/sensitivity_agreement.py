"""Two sensitivity runs on the same question: every score of one against that of the other.

A point is a unit at a width; both axes are logarithmic, since scores span decades. Start with
`read_pairs`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import write_plain
from app.plots.sensitivity_map import draw_nothing
from app.plots.sensitivity_scores import Sensitivity, build_log_axis, unit_of_score, write_loss
from app.quantities import write_count
from app.text import sensitivity as text
from app.theme import color_of_bits, symbol_of_bits
from tasks.store.records import SensitivityScoreRecord

SCATTER_PIXELS = 400
Pair = tuple[SensitivityScoreRecord, SensitivityScoreRecord]


@dataclass(frozen=True)
class Side:
    """One of two runs: its number, what its method is called, and its scores."""

    run_id: int
    method: str
    found: Sensitivity

    @property
    def axis(self) -> str:
        """What stands at its axis."""
        unit = unit_of_score(self.found.metric) or self.found.title
        return text.SCATTER_AXIS.format(method=self.method, id=self.run_id, unit=unit)


@dataclass(frozen=True)
class Pairs:
    """What the figure shows.

    Attributes:
        own: The run whose page it is.
        other: What it is compared with.
        points: By width, what both scored above zero.
        num_left_out: What both scored, but one at zero or less.
    """

    own: Side
    other: Side
    points: dict[int, tuple[Pair, ...]]
    num_left_out: int

    @property
    def count(self) -> int:
        """How many points there are."""
        return sum(map(len, self.points.values()))


def read_pairs(own: Side, other: Side) -> Pairs:
    """Put the scores of units and widths together that both runs have."""
    points: dict[int, tuple[Pair, ...]] = {}
    num_left_out = 0
    for bits in own.found.widths:
        theirs = other.found.list_at(bits)
        pairs = [
            (score, theirs[unit])
            for unit, score in own.found.list_at(bits).items()
            if unit in theirs
        ]
        kept = tuple(pair for pair in pairs if all(_has_place(score) for score in pair))
        num_left_out += len(pairs) - len(kept)
        if kept:
            points[bits] = kept
    return Pairs(own, other, points, num_left_out)


def draw(found: Pairs, *, empty: str = "") -> dict[str, Any]:
    """Draw every pair, a color and symbol per width.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    if not found.points:
        return draw_nothing(empty)
    aria = text.SCATTER_LABEL.format(
        own=found.own.run_id, other=found.other.run_id, count=write_count(found.count)
    )
    layout = {
        "uirevision": f"agreement-{found.other.run_id}-{found.own.found.metric}",
        "height": SCATTER_PIXELS,
        "xaxis": _build_axis(found, 0),
        "yaxis": _build_axis(found, 1),
    }
    traces = [_build_trace(found, bits, pairs) for bits, pairs in found.points.items()]
    return {"data": traces, "layout": layout, "meta": {"aria": aria}}


def _build_trace(found: Pairs, bits: int, pairs: Sequence[Pair]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": text.BITS.format(bits=bits),
        "x": [own.value for own, _ in pairs],
        "y": [other.value for _, other in pairs],
        "text": [
            text.SCATTER_HOVER.format(
                unit=write_plain(own.unit),
                bits=bits,
                own=f"{found.own.method}: {write_loss(own)}",
                other=f"{found.other.method}: {write_loss(other)}",
            )
            for own, other in pairs
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "color": color_of_bits(bits),
            "symbol": symbol_of_bits(bits),
            "size": 6,
            "opacity": 0.75,
        },
    }


def _build_axis(found: Pairs, place: int) -> dict[str, Any]:
    """Return the axis of the run's own scores (0) or the other's (1)."""
    values = [pair[place].value for pairs in found.points.values() for pair in pairs]
    return build_log_axis((found.own, found.other)[place].axis, values)


def _has_place(score: SensitivityScoreRecord) -> bool:
    return math.isfinite(score.value) and score.value > 0
