"""Which ranks each optimizer step trains. Start with `RankPolicy`.

A configuration is a function of seed and step alone, so a resumed run, a recomputation or another
process sees the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.layers.layer_map import LayerSetting
from engine.layers.rank_groups import RankGroups
from engine.layers.rounded_weight import RoundedWeight
from engine.search.spaces import Ranks
from engine.specs import ElasticLoraAdapter

STREAM = 0x52414E4B
"""Keeps these draws apart from whatever else is seeded with the run's seed."""


@dataclass(frozen=True)
class RankPolicy:
    """How ranks are chosen in training.

    Attributes:
        groups: The groups that share a rank, and the rank space.
        spec: Policy and grouping.
        seed: Seed of the draws.
    """

    groups: RankGroups
    spec: ElasticLoraAdapter
    seed: int

    def configurations(self, step: int) -> tuple[Ranks, ...]:
        """Return what step `step` (from 1) trains, the drawn configuration last.

        uniform draws one, as in Shears (Muñoz et al. 2024, arXiv:2404.10934); sandwich trains the
        largest and the smallest as well (Yu and Huang 2019, arXiv:1903.05134); fixed keeps one.
        """
        if self.spec.rank_policy == "fixed":
            return (self.spec.reported_ranks(len(self.groups.members)),)
        space, everywhere = self.spec.rank_space, self.groups.space.everywhere
        draws = np.random.default_rng((self.seed, STREAM, step))
        places = draws.integers(len(space), size=len(self.groups.members))
        drawn = tuple(space[place] for place in places)
        if self.spec.rank_policy == "uniform":
            return (drawn,)
        return (everywhere(space[0]), everywhere(space[-1]), drawn)

    def layer_maps(
        self, layers: Mapping[str, RoundedWeight], step: int
    ) -> tuple[dict[str, LayerSetting], ...]:
        """Return the same as layer maps."""
        return tuple(self.groups.layer_map(layers, ranks) for ranks in self.configurations(step))
