"""Names of layers: block, kind, and the group that shares a rank. Start with `split_name`.

A block is found by the first number in the dotted name, which holds for every decoder and encoder
of Transformers ("model.layers.3.self_attn.q_proj", "bert.encoder.layer.0.output.dense"). Of an
encoder-decoder the encoder's blocks are named as such ("encoder.block.3...",
"model.encoder.layers.3..."); the decoder's are named like any decoder's. No torch at import.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from engine.specs.adapter import Grouping


_ENCODER_STACKS = (("encoder", "layers"), ("encoder", "block"))
"""Where an encoder-decoder keeps its encoder's blocks (BART, T5); encoders have "encoder.layer"."""

KEY_KINDS = ("k_proj", "c_attn", "qkv_proj", "query_key_value", "Wqkv", "key")
"""What the layer of a block that makes the keys is called, alone or together with others."""


@dataclass(frozen=True)
class LayerName:
    """A layer's place.

    Attributes:
        block: Its block's index; None outside blocks.
        kind: The last part of its name ("q_proj").
        stack: "encoder" for a block of an encoder-decoder's encoder, else "".
    """

    block: int | None
    kind: str
    stack: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """The order of blocks: the encoder's first; outside blocks before all of them."""
        if self.block is None:
            return (0, -1)
        return (0 if self.stack else 1, self.block)


def split_name(name: str) -> LayerName:
    """Split a dotted layer name into block and kind."""
    parts = name.split(".")
    start = next((index for index, part in enumerate(parts) if part.isdigit()), None)
    if start is None:
        return LayerName(None, parts[-1])
    stack = "encoder" if tuple(parts[max(0, start - 2) : start]) in _ENCODER_STACKS else ""
    return LayerName(int(parts[start]), parts[-1], stack)


def list_linear_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of all linear layers of a model, in its own order."""
    from torch import nn  # noqa: PLC0415  names alone need no torch

    return tuple(name for name, module in model.named_modules() if isinstance(module, nn.Linear))


def find_key_layers(names: Iterable[str]) -> dict[int, str]:
    """Return the layer that makes the keys of each block, by the block's index.

    Blocks whose key layer goes by none of `KEY_KINDS` are left out, and so are an encoder-decoder's
    encoder and attention to another stack.
    """
    found: dict[int, str] = {}
    for name in names:
        place = split_name(name)
        looks_across = "crossattention" in name or "encoder_attn" in name
        if (
            place.block is not None
            and place.kind in KEY_KINDS
            and not (place.stack or looks_across)
        ):
            found.setdefault(place.block, name)
    return found


def group_of(name: str, grouping: Grouping) -> str:
    """Return the name of the group of layers a layer shares its rank with.

    Args:
        name: A dotted layer name.
        grouping: "block" gives "block 3", "kind" the name inside a block ("self_attn.q_proj"),
            "layer" the whole name; a layer outside blocks is always alone. An encoder-decoder's
            encoder has groups of its own ("encoder block 3").
    """
    parts = name.split(".")
    place = split_name(name)
    if place.block is None or grouping == "layer":
        return name
    stack = f"{place.stack} " if place.stack else ""
    if grouping == "block":
        return f"{stack}block {place.block}"
    start = next(index for index, part in enumerate(parts) if part.isdigit())
    inside = ".".join(parts[start + 1 :])
    return f"{stack}{inside}" if inside else name
