"""How often training sampled each rank, stacked for every group of layers.

Start with `read_samples`; `list_table` says the same as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.quantities import write_count
from app.text import ranks as text
from app.theme import color_of_rank


@dataclass(frozen=True)
class SampledRanks:
    """What the figure shows.

    Attributes:
        groups: Names of the G groups, in the model's order.
        rank_space: The R ranks, the largest first.
        counts: (G, R) optimizer steps.
    """

    groups: tuple[str, ...]
    rank_space: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]


def read_samples(rank_counts: Mapping[str, Any] | None) -> SampledRanks:
    """Read what a run recorded; without anything there are no groups."""
    found = rank_counts or {}
    return SampledRanks(
        tuple(found.get("groups", ())),
        tuple(found.get("rank_space", ())),
        tuple(tuple(row) for row in found.get("counts", ())),
    )


def draw(found: SampledRanks) -> dict[str, Any]:
    """Draw one bar per group with a part per rank, the smallest rank at the bottom.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    places = sorted(range(len(found.rank_space)), key=found.rank_space.__getitem__)
    data = [_draw_rank(found, place, number) for number, place in enumerate(places)]
    layout = {
        "uirevision": "sampled-ranks",
        "barmode": "stack",
        "bargap": 0.15,
        "hovermode": "x unified",
        "xaxis": {"title": text.GROUP_AXIS, "type": "category"},
        "yaxis": {"title": {"text": text.STEPS_AXIS, "standoff": 10}, "rangemode": "tozero"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
    }
    ranks = ", ".join(map(str, found.rank_space))
    aria = text.SAMPLED_LABEL.format(count=len(found.groups), ranks=ranks)
    has_any = any(map(any, found.counts))
    return {
        "data": data if has_any else [],
        "layout": layout,
        "meta": {"aria": aria, "empty": text.SAMPLED_EMPTY},
    }


def list_table(found: SampledRanks) -> dict[str, Any]:
    """Return the counts as columns and rows for a table."""
    titles = [text.RANK.format(rank=rank) for rank in found.rank_space]
    return {
        "columns": [text.GROUP, *titles],
        "rows": [
            [group, *map(write_count, counts)]
            for group, counts in zip(found.groups, found.counts, strict=True)
        ],
    }


def _draw_rank(found: SampledRanks, place: int, number: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": text.RANK.format(rank=found.rank_space[place]),
        "x": [shorten_group(group) for group in found.groups],
        "y": [counts[place] for counts in found.counts],
        "marker": {"color": color_of_rank(number, len(found.rank_space))},
        "hovertemplate": "%{y}",
    }


def shorten_group(group: str) -> str:
    """Return a group's name as an axis has room for: a block's number, else the whole name."""
    return group.removeprefix("block ")
