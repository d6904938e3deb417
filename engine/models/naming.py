"""Names of layers: block, kind, and the group that shares a rank. Start with `split_name`.

A block is found by the first number in the dotted name, which holds for every decoder of
Transformers ("model.layers.3.self_attn.q_proj", "transformer.h.0.attn.c_attn"). No torch at import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from engine.specs.adapter import Grouping


@dataclass(frozen=True)
class LayerName:
    """A layer's place: its block's index (None outside blocks) and its kind ("q_proj")."""

    block: int | None
    kind: str


def split_name(name: str) -> LayerName:
    """Split a dotted layer name into block and kind."""
    parts = name.split(".")
    block = next((int(part) for part in parts if part.isdigit()), None)
    return LayerName(block, parts[-1])


def list_linear_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of all linear layers of a model, in its own order."""
    from torch import nn  # noqa: PLC0415  names alone need no torch

    return tuple(name for name, module in model.named_modules() if isinstance(module, nn.Linear))


def group_of(name: str, grouping: Grouping) -> str:
    """Return the name of the group of layers a layer shares its rank with.

    Args:
        name: A dotted layer name.
        grouping: "block" gives "block 3", "kind" the name inside a block ("self_attn.q_proj"),
            "layer" the whole name; a layer outside blocks is always alone.
    """
    parts = name.split(".")
    block = split_name(name).block
    if block is None or grouping == "layer":
        return name
    if grouping == "block":
        return f"block {block}"
    start = next(index for index, part in enumerate(parts) if part.isdigit())
    return ".".join(parts[start + 1 :]) or name
