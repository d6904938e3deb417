"""How many configurations a rank space spans, told from shapes alone.

The groups are those that the elastic adapters form, named alike: both ask
`engine.models.naming.group_of`. Blocks stand in order; inside a block a checkpoint may list its
layers otherwise than the model does, so whoever needs the order of a list of ranks reads it from
the run that trained them. No torch. Start with `list_groups`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.estimates.selection import list_adapted
from engine.models.naming import group_of
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import ElasticLoraAdapter, Subject


@dataclass(frozen=True)
class RankGroup:
    """Layers that share a rank.

    Attributes:
        name: "block 0", "self_attn.q_proj" or a layer's whole name.
        layers: Its layers, block by block.
    """

    name: str
    layers: tuple[LayerShape, ...]


def list_groups(spec: Subject, shapes: ModelShapes) -> tuple[RankGroup, ...]:
    """Return the groups of layers that share a rank, block by block.

    Args:
        spec: A complete spec; without elastic adapters there are no groups.
        shapes: The layers of the spec's model.
    """
    if not isinstance(spec.adapter, ElasticLoraAdapter):
        return ()
    members: dict[str, list[LayerShape]] = {}
    for layer in list_adapted(spec, shapes):
        members.setdefault(group_of(layer.name, spec.adapter.grouping), []).append(layer)
    return tuple(RankGroup(name, tuple(layers)) for name, layers in members.items())


def count_groups(spec: Subject, shapes: ModelShapes) -> int:
    """Return how many groups of layers have a rank of their own."""
    return len(list_groups(spec, shapes))
