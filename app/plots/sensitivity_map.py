"""Sensitivity of every layer at one width: a map of blocks and kinds, colored by score.

Each width has a scale of its own, so that colors tell its layers apart; all widths may share one,
so that colors compare between them. Start with `draw`; `app.tables.sensitivity_table` says the same
as a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import arrange_layers, build_layout, build_trace, write_plain
from app.plots.sensitivity_scores import Sensitivity, find_span, unit_of_score, write_loss
from app.quantities import write_count, write_number
from app.text import sensitivity as text
from app.theme import HEAT_RAMP
from engine.sensitivity.layer_facts import LayerFact

LEAST_TICKS, MOST_TICKS = 2, 7
LINE = "<br>"


@dataclass(frozen=True)
class Scale:
    """How scores become colors; `low` and `high` are powers of ten where it is logarithmic."""

    low: float
    high: float
    is_log: bool

    def place(self, value: float) -> float | None:
        """Return where a score stands on the scale; None where it is no number."""
        if not math.isfinite(value):
            return None
        if not self.is_log:
            return value
        return self.low if value <= 0 else min(max(math.log10(value), self.low), self.high)


def draw(
    found: Sensitivity,
    bits: int,
    *,
    is_log: bool,
    is_common: bool = False,
    facts: Mapping[str, LayerFact] | None = None,
    empty: str = "",
) -> dict[str, Any]:
    """Draw the map at a width.

    Args:
        found: Scores of layers.
        bits: The width.
        is_log: Whether colors follow the logarithm of a score.
        is_common: Whether the scale is that of all widths together, not of this one alone.
        facts: What is known of each layer's weights.
        empty: What is said where nothing is measured yet.

    Returns:
        A Plotly figure as a plain dictionary; a cell's `customdata` is its layer, as
        `layer_map.write_plain` writes it.
    """
    here = found.list_at(bits)
    if not here:
        return draw_nothing(empty)
    layers = arrange_layers({**dict.fromkeys(facts or ()), **found.scores})
    values = found.list_values(None if is_common else bits)
    scale = Scale(*find_span(values, is_log=is_log), is_log)
    trace = build_trace(
        layers,
        layers.fill(lambda name: scale.place(here[name].value) if name in here else None),
        written=layers.fill(_Hover(found, bits, facts or {}).write),
    ) | {
        "colorscale": [[at / (len(HEAT_RAMP) - 1), color] for at, color in enumerate(HEAT_RAMP)],
        "zmin": scale.low,
        "zmax": scale.high,
        "colorbar": _build_bar(scale, unit_of_score(found.metric)),
        "hovertemplate": "%{text}<extra></extra>",
    }
    layout = build_layout(layers.kinds, f"sensitivity-{found.metric}")
    aria = describe(found, bits) + layers.describe_hidden()
    return {"data": [trace], "layout": layout, "meta": {"aria": aria}}


def describe(found: Sensitivity, bits: int) -> str:
    """Say in one sentence what a figure at a width shows, for screen readers."""
    here = found.list_at(bits)
    worst = min(here, key=found.rank_at(bits).__getitem__)
    return text.MAP_LABEL.format(
        metric=found.title,
        count=write_count(len(here)),
        units=found.units_word,
        bits=bits,
        worst=worst,
        value=write_loss(here[worst]),
    )


def draw_nothing(sentence: str) -> dict[str, Any]:
    """Return a figure that says why it is empty."""
    return {"data": [], "layout": {}, "meta": {"aria": sentence, "empty": sentence}}


class _Hover:
    """Writes what hovering over a unit says."""

    def __init__(self, found: Sensitivity, bits: int, facts: Mapping[str, LayerFact]) -> None:
        self.found, self.bits, self.facts = found, bits, facts
        self.here, self.places = found.list_at(bits), found.rank_at(bits)

    def write(self, name: str) -> str:
        lines = [f"<b>{write_plain(name)}</b>"]
        if name not in self.here:
            return LINE.join([*lines, text.NO_SCORES_AT.format(bits=self.bits)])
        score = write_loss(self.here[name])
        unit = unit_of_score(self.found.metric)
        told = text.HOVER_SCORE.format(score=score, unit=unit, bits=self.bits)
        lines.append(f"{self.found.title} {' '.join(told.split())}")
        lines.append(text.HOVER_PLACE.format(place=self.places[name], count=len(self.here)))
        return LINE.join([*lines, *self._list_facts(name)])

    def _list_facts(self, name: str) -> list[str]:
        known = self.facts.get(name)
        if known is None:
            return []
        low, high = write_number(known.minimum), write_number(known.maximum)
        count = write_count(known.num_weights)
        lines = [text.HOVER_WEIGHTS.format(count=count, low=low, high=high)]
        error = known.relative_error.get(self.bits)
        if error is not None:
            lines.append(text.HOVER_ERROR.format(error=write_number(error)))
        if known.rank is not None:
            lines.append(text.HOVER_RANK.format(rank=known.rank))
        return lines


def _build_bar(scale: Scale, unit: str) -> dict[str, Any]:
    bar: dict[str, Any] = {"thickness": 12, "outlinewidth": 0, "nticks": 5, "len": 1.0}
    if unit:
        bar["title"] = {"text": unit, "side": "right", "font": {"size": 11}}
    if scale.is_log:
        ticks = _list_ticks(scale)
        bar |= {"tickmode": "array", "tickvals": [place for place, _ in ticks]}
        bar["ticktext"] = [written for _, written in ticks]
    return bar


def _list_ticks(scale: Scale) -> list[tuple[float, str]]:
    """Return where ticks stand and what they say: powers of ten, thinned where there are many.

    A scale of less than two decades has 1, 2 and 5 of each; one that has none of these, its ends.
    """
    powers = list(range(math.ceil(scale.low), math.floor(scale.high) + 1))
    if len(powers) >= LEAST_TICKS:
        kept = powers[:: max(1, math.ceil(len(powers) / MOST_TICKS))]
        return [(power, _write_power(power)) for power in kept]
    near = range(math.floor(scale.low), math.ceil(scale.high) + 1)
    steps = [power + math.log10(step) for power in near for step in (1, 2, 5)]
    within = [step for step in steps if scale.low <= step <= scale.high]
    if len(within) < LEAST_TICKS:
        within = [scale.low, scale.high]
    return [(step, write_number(10**step)) for step in within]


def _write_power(power: int) -> str:
    return f"10<sup>{str(power).replace('-', '−')}</sup>"
