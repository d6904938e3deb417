"""How many bits each layer has where they differ: a map colored by width, with numbers.

Start with `read_widths`; `list_table` says the same as a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import (
    LayerMap,
    arrange_layers,
    build_layout,
    build_trace,
)
from app.quantities import write_bits, write_count, write_number
from app.text import starts as text
from app.theme import color_of_bits


@dataclass(frozen=True)
class LayerWidths:
    """What the figure shows.

    Attributes:
        layers: Where each layer stands.
        widths: Bits by layer.
        scores: What each layer would cost at its width; empty where nothing was measured.
    """

    layers: LayerMap
    widths: Mapping[str, int]
    scores: Mapping[str, float]


def read_widths(
    widths: Mapping[str, int], scores: Mapping[str, Mapping[int, float]] | None = None
) -> LayerWidths:
    """Sort the widths of layers into kinds and blocks.

    Args:
        widths: Bits by layer, in the model's order.
        scores: By layer and width, what was measured; None where nothing was.
    """
    known = {
        name: scores[name][bits]
        for name, bits in widths.items()
        if scores and bits in scores.get(name, {})
    }
    return LayerWidths(arrange_layers(widths), dict(widths), known)


def draw(found: LayerWidths) -> dict[str, Any]:
    """Draw the map with the width in each cell.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    used = sorted(set(found.widths.values()))
    trace = build_trace(
        found.layers,
        found.layers.fill(lambda name: used.index(found.widths[name])),
        written=found.layers.fill(lambda name: str(found.widths[name])),
    ) | {
        "texttemplate": "%{text}",
        "colorscale": _scale_colors(used),
        "zmin": -0.5,
        "zmax": len(used) - 0.5,
        "showscale": False,
        "hovertemplate": text.WIDTHS_HOVER + "<extra></extra>",
    }
    counts = Counter(found.widths.values())
    listed = ", ".join(
        text.LAYERS_OF.format(count=write_count(counts[bits]), bits=write_bits(bits))
        for bits in reversed(used)
    )
    aria = text.WIDTHS_LABEL.format(count=len(found.widths), widths=listed)
    aria += found.layers.describe_hidden()
    data = [trace] if found.widths else []
    layout = build_layout(found.layers.kinds, "layer-widths")
    return {"data": data, "layout": layout, "meta": {"aria": aria, "empty": text.WIDTHS_MISSING}}


def list_table(found: LayerWidths) -> dict[str, Any]:
    """Return the width of every layer as columns and rows for a table."""
    if not found.scores:
        rows = [[name, write_bits(bits)] for name, bits in found.widths.items()]
        return {"columns": [text.LAYER, text.WIDTH_COLUMN], "rows": rows}
    scored = [
        [name, write_bits(bits), write_number(found.scores.get(name))]
        for name, bits in found.widths.items()
    ]
    return {"columns": [text.LAYER, text.WIDTH_COLUMN, text.SCORE_COLUMN], "rows": scored}


def _scale_colors(used: list[int]) -> list[list[float | str]]:
    """Return a color scale of steps, one per width."""
    steps: list[list[float | str]] = []
    for place, bits in enumerate(used):
        color = color_of_bits(bits)
        steps += [[place / len(used), color], [(place + 1) / len(used), color]]
    return steps
