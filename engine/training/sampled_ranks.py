"""What an elastic adapter was trained at so far, for a later search. Start with `SampledRanks`."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from engine.events import RanksSampled
from engine.search.rank_history import RankHistory
from engine.search.spaces import Ranks
from engine.training.rank_policy import RankPolicy


@dataclass
class SampledRanks:
    """What an elastic adapter was trained at so far.

    Attributes:
        policy: How ranks are chosen; None for adapters of one rank.
        losses: Loss of each step's last configuration.
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
