"""Which rank each layer has: kinds of layers against blocks, colored by rank, with numbers.

Layers that share a rank because they share a group are one cell where the layers are not known, and
a cell each where they are. Start with `read_map`; `list_table` says the same as a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import build_layout, order_blocks, order_kinds, place_layer, write_plain
from app.text import ranks as text
from app.theme import color_of_rank

_BLOCK = re.compile(r"(?:(\w+) )?block (\d+)")


@dataclass(frozen=True)
class RankMap:
    """What the figure shows.

    Attributes:
        kinds: Names of the rows, from the top.
        blocks: Names of the columns: numbers of blocks, then what stands outside.
        cells: Row by row, the rank of each cell; None where there is no adapter.
        rank_space: Ranks a group may have, the smallest first.
        groups: Group to rank, in the model's order.
    """

    kinds: tuple[str, ...]
    blocks: tuple[str, ...]
    cells: tuple[tuple[int | None, ...], ...]
    rank_space: tuple[int, ...]
    groups: Mapping[str, int]


def read_map(
    groups: Sequence[str],
    ranks: Sequence[int],
    rank_space: Sequence[int],
    *,
    members: Mapping[str, Sequence[str]] | None = None,
) -> RankMap:
    """Sort the ranks of groups into kinds and blocks.

    Args:
        groups: Names of the groups ("block 0", "self_attn.q_proj" or a layer's whole name).
        ranks: As many.
        rank_space: Ranks a group may have.
        members: Names of each group's layers; None where they are not known.
    """
    found = dict(zip(groups, ranks, strict=True))
    placed: dict[tuple[str, str], int] = {}
    for group, rank in found.items():
        for kind, block in _list_places(group, (members or {}).get(group, ())):
            placed[kind, block] = rank
    kinds = order_kinds(kind for kind, _ in placed)
    blocks = order_blocks(block for _, block in placed)
    cells = tuple(tuple(placed.get((kind, block)) for block in blocks) for kind in kinds)
    if blocks == (text.OUTSIDE,):  # groups of a kind have no block in their names
        blocks = (text.ALL_BLOCKS,)
    return RankMap(kinds, blocks, cells, tuple(sorted(rank_space)), found)


def draw(found: RankMap) -> dict[str, Any]:
    """Draw the map, the first kind on top.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    places = {rank: place for place, rank in enumerate(found.rank_space)}
    trace = {
        "type": "heatmap",
        "x": list(found.blocks),
        "y": [write_plain(kind) for kind in found.kinds],
        "z": [
            [places.get(rank) if rank is not None else None for rank in row] for row in found.cells
        ],
        "text": [["" if rank is None else str(rank) for rank in row] for row in found.cells],
        "texttemplate": "%{text}",
        "colorscale": _scale_colors(len(found.rank_space)),
        "zmin": -0.5,
        "zmax": len(found.rank_space) - 0.5,
        "showscale": False,
        "xgap": 1.5,
        "ygap": 1.5,
        "hoverongaps": False,
        "hovertemplate": text.MAP_HOVER + "<extra></extra>",
    }
    layout = build_layout(found.kinds, "rank-map")
    ranks = sorted(set(found.groups.values()), reverse=True)
    aria = text.MAP_LABEL.format(count=len(found.groups), ranks=", ".join(map(str, ranks)))
    data = [trace] if found.cells else []
    return {"data": data, "layout": layout, "meta": {"aria": aria, "empty": text.MAP_EMPTY}}


def list_table(found: RankMap) -> dict[str, Any]:
    """Return the rank of every group as columns and rows for a table."""
    return {
        "columns": [text.GROUP, text.RANK_COLUMN],
        "rows": [[group, str(rank)] for group, rank in found.groups.items()],
    }


def _list_places(group: str, layers: Sequence[str]) -> list[tuple[str, str]]:
    """Return kind and block of every cell a group fills."""
    if layers:
        return [place_layer(name) for name in layers]
    named = _BLOCK.fullmatch(group)
    if named:
        return [(f"{named[1] or ''} {text.ALL_KINDS}".strip(), named[2])]
    return [place_layer(group)]


def _scale_colors(count: int) -> list[list[float | str]]:
    """Return a color scale of steps, one per rank."""
    steps: list[list[float | str]] = []
    for place in range(count):
        color = color_of_rank(place, count)
        steps += [[place / count, color], [(place + 1) / count, color]]
    return steps
