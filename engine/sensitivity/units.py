"""What changes its width at once: a layer, a block, or all layers of a kind. Names alone, no torch.

Start with `list_units`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.models.naming import LayerName, split_name
from engine.specs.sensitivity import Unit

Units = dict[str, tuple[str, ...]]


def list_units(names: Sequence[str], unit: Unit) -> Units:
    """Return the layers of each unit, units and layers in the order of `names`.

    A layer outside blocks (an embedding, the head) is always a unit of its own, under its name.

    Args:
        names: Dotted names of layers, in the model's order.
        unit: "layer" gives each its own name, "block" the name of the block ("model.layers.3"),
            "kind" the last part of the name ("q_proj"), with what stands before it where a block
            has several of that kind ("attn.c_proj" and "mlp.c_proj"). An encoder-decoder's encoder
            has kinds of its own ("encoder q").
    """
    shared = _find_shared(names)
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_unit_of(name, unit, shared), []).append(name)
    return {name: tuple(layers) for name, layers in found.items()}


def _unit_of(name: str, unit: Unit, shared: frozenset[str]) -> str:
    place = split_name(name)
    if unit == "layer" or place.block is None:
        return name
    outside, inside = _split_at_block(name)
    if unit == "block":
        return outside
    kind = inside if place.kind in shared else place.kind
    return f"{place.stack} {kind}" if place.stack else kind


def _find_shared(names: Sequence[str]) -> frozenset[str]:
    """Return the kinds that a block has several layers of."""
    counts: Counter[LayerName] = Counter(map(split_name, names))
    return frozenset(
        place.kind for place, count in counts.items() if count > 1 and place.block is not None
    )


def _split_at_block(name: str) -> tuple[str, str]:
    """Return the name of a layer's block, and what the layer is called inside it."""
    parts = name.split(".")
    start = 1 + next(index for index, part in enumerate(parts) if part.isdigit())
    return ".".join(parts[:start]), ".".join(parts[start:])
