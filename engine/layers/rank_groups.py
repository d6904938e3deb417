"""Groups of layers that share a rank, and the layer map of a configuration of ranks.

Start with `group_adapters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.layers.layer_map import LayerSetting
from engine.layers.rounded_weight import RoundedWeight
from engine.models.naming import group_of
from engine.search.spaces import Ranks, RankSpace
from engine.specs import ElasticLoraAdapter


@dataclass(frozen=True)
class RankGroups:
    """The groups of a model with elastic adapters.

    Attributes:
        space: Every configuration of ranks.
        members: The names of each group's adapted layers, in the order of the space's groups.
    """

    space: RankSpace
    members: tuple[tuple[str, ...], ...]

    def layer_map(
        self, layers: Mapping[str, RoundedWeight], ranks: Ranks, *, field: str = "ranks"
    ) -> dict[str, LayerSetting]:
        """Return the setting of every adapted layer at a configuration; bits stay as they are.

        Raises:
            SpecError: At `field`, when the configuration is none of the space.
        """
        self.space.check(ranks, field=field)
        return {
            name: LayerSetting(layers[name].active_bits, rank)
            for rank, names in zip(ranks, self.members, strict=True)
            for name in names
        }


def group_adapters(layers: Mapping[str, RoundedWeight], spec: ElasticLoraAdapter) -> RankGroups:
    """Group the layers that have an adapter, in the model's order."""
    members: dict[str, list[str]] = {}
    for name, layer in layers.items():
        if layer.adapter is not None:
            members.setdefault(group_of(name, spec.grouping), []).append(name)
    sides = (sum(sum(layers[name].weight.shape) for name in names) for names in members.values())
    space = RankSpace(tuple(members), spec.rank_space, tuple(sides))
    return RankGroups(space, tuple(map(tuple, members.values())))
