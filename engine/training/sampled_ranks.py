"""What an elastic adapter was trained at so far, for a later search. Start with `SampledRanks`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from engine.events import RanksSampled
from engine.layers.rounded_weight import RoundedWeight
from engine.search.rank_history import RankHistory
from engine.search.spaces import Ranks
from engine.training.configuration import Configuration
from engine.training.rank_policy import RankPolicy


def find_own_loss(
    layers: Mapping[str, RoundedWeight], trained: Sequence[Configuration], losses: Sequence[float]
) -> float:
    """Return the loss of a step's last configuration at the widths the run's scores are of.

    Losses at other widths say more of the width than of the ranks, and a search chooses ranks for
    these. NaN where the step trained none at them.
    """
    own = [
        loss
        for each, loss in zip(trained, losses, strict=True)
        if all(
            setting.bits in (None, layers[name].own_bits) for name, setting in each.settings.items()
        )
    ]
    return own[-1] if own else math.nan


@dataclass
class SampledRanks:
    """What an elastic adapter was trained at so far.

    Attributes:
        policy: How ranks are chosen; None for adapters of one rank.
        losses: Of each step, from `find_own_loss`.
        counts: Steps in which a group was trained at a rank.
    """

    policy: RankPolicy | None
    losses: list[float] = field(default_factory=list)
    counts: list[list[int]] = field(default_factory=list)

    def note(self, step: int, loss: float) -> None:
        """Take note of a step."""
        self.losses.append(loss)
        if self.policy is not None:
            self._count(self.policy, step)

    def restore(self, losses: Tensor | None, step: int) -> None:
        """Start from what a checkpoint held; the ranks follow from the steps."""
        self.losses = [] if losses is None else losses.tolist()
        if self.policy is not None:
            for earlier in range(1, step + 1):
                self._count(self.policy, earlier)

    def event(self, policy: RankPolicy) -> RanksSampled:
        """Return the counts as an event."""
        counts = tuple(map(tuple, self.counts))
        return RanksSampled(policy.groups.space.groups, policy.groups.space.ranks, counts)

    def history(self, policy: RankPolicy) -> RankHistory:
        """Return everything, for a later search."""
        steps = range(1, len(self.losses) + 1)
        ranks: tuple[Ranks, ...] = tuple(policy.configurations(step)[-1] for step in steps)
        names, space = policy.groups.space.groups, policy.groups.space.ranks
        return RankHistory(names, space, ranks, tuple(self.losses))

    def _count(self, policy: RankPolicy, step: int) -> None:
        space = policy.groups.space.ranks
        if not self.counts:
            self.counts = [[0] * len(space) for _ in policy.groups.space.groups]
        trained = zip(*policy.configurations(step), strict=True)
        for row, ranks in zip(self.counts, trained, strict=True):
            for rank in set(ranks):  # a sandwich may draw its largest rank again
                row[space.index(rank)] += 1
