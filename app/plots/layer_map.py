"""Where layers stand in a map of a model: kinds of layers against blocks, and how it is laid out.

What the cells say belongs to the figures: `rank_map`, `initialization_error`, `layer_widths`. Start
with `arrange_layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeVar

from app.text import ranks as text
from app.text import starts as starts_text
from engine.models.naming import group_of, split_name

ROW_PIXELS, FRAME_PIXELS = 26, 96
MOST_CHARACTERS = 30
# As a block computes them; other kinds follow as they come, since checkpoints list them at will.
_USUAL_KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
Value = TypeVar("Value")


@dataclass(frozen=True)
class LayerMap:
    """Where each layer stands.

    Attributes:
        kinds: Names of the rows, from the top.
        blocks: Names of the columns: numbers of blocks, then what stands outside.
        names: Row by row, the layer in each cell; None where there is none.
        num_hidden: How many layers have no cell, because another one stands there.
    """

    kinds: tuple[str, ...]
    blocks: tuple[str, ...]
    names: tuple[tuple[str | None, ...], ...]
    num_hidden: int = 0

    def fill(self, read: Callable[[str], Value]) -> list[list[Value | None]]:
        """Return row by row what `read` says of each layer."""
        return [[None if name is None else read(name) for name in row] for row in self.names]

    def describe_hidden(self) -> str:
        """Return how many layers a map leaves out, to follow on its label; empty where none."""
        if not self.num_hidden:
            return ""
        return starts_text.HIDDEN.format(count=self.num_hidden)


def arrange_layers(names: Iterable[str]) -> LayerMap:
    """Sort layers into kinds and blocks; of two in one cell, the first is kept."""
    placed: dict[tuple[str, str], str] = {}
    listed = tuple(names)
    for name in listed:
        placed.setdefault(place_layer(name), name)
    kinds, blocks = order_kinds(kind for kind, _ in placed), order_blocks(b for _, b in placed)
    cells = tuple(tuple(placed.get((kind, block)) for block in blocks) for kind in kinds)
    return LayerMap(kinds, blocks, cells, len(listed) - len(placed))


def place_layer(name: str) -> tuple[str, str]:
    """Return kind and block of a layer; outside blocks its own name is the kind."""
    block = split_name(name).block
    if block is None:
        return name, text.OUTSIDE
    return group_of(name, "kind"), str(block)


def order_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds without repetition, an encoder's before its decoder's."""
    return tuple(sorted(dict.fromkeys(kinds), key=_order_of_kind))


def order_blocks(blocks: Iterable[str]) -> tuple[str, ...]:
    """Return the blocks by number, then what stands outside."""
    return tuple(sorted(set(blocks), key=_order_of_block))


def build_trace(
    layers: LayerMap, values: Sequence[Sequence[Any]], *, written: Sequence[Sequence[str | None]]
) -> dict[str, Any]:
    """Return a heatmap of a value per layer, without colors; `written` is what hovering says."""
    return {
        "type": "heatmap",
        "x": list(layers.blocks),
        "y": [write_plain(kind) for kind in layers.kinds],
        "z": [list(row) for row in values],
        "text": [["" if each is None else each for each in row] for row in written],
        "customdata": [[write_plain(name or "") for name in row] for row in layers.names],
        "xgap": 1.5,
        "ygap": 1.5,
        "hoverongaps": False,
    }


def build_layout(kinds: Sequence[str], revision: str) -> dict[str, Any]:
    """Return the layout of a map, the first kind on top; long names are shortened on the axis."""
    return {
        "uirevision": revision,
        "height": FRAME_PIXELS + ROW_PIXELS * max(len(kinds), 2),
        "xaxis": {"title": text.BLOCK_AXIS, "type": "category", "showgrid": False},
        "yaxis": {
            "type": "category",
            "autorange": "reversed",
            "showgrid": False,
            "tickmode": "array",
            "tickvals": [write_plain(kind) for kind in kinds],
            "ticktext": [write_plain(shorten(kind)) for kind in kinds],
        },
    }


def shorten(name: str) -> str:
    """Return a name as an axis has room for: its end, which tells layers apart."""
    return name if len(name) <= MOST_CHARACTERS else "…" + name[1 - MOST_CHARACTERS :]


def write_plain(name: str) -> str:
    """Write a name so that Plotly, which reads tags and links in texts, shows it as it is."""
    return escape(name, quote=False)


def _order_of_kind(kind: str) -> tuple[bool, int]:
    name = split_name(kind).kind
    place = _USUAL_KINDS.index(name) if name in _USUAL_KINDS else len(_USUAL_KINDS)
    return not kind.startswith("encoder "), place


def _order_of_block(block: str) -> tuple[int, str]:
    return (int(block), "") if block.isdigit() else (10**9, block)
