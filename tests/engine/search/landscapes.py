"""Search spaces and costs made up for tests: known everywhere, in no time."""

from __future__ import annotations

import random

from engine.search.spaces import Ranks, RankSpace


def make_space(num_groups: int = 4, ranks: Ranks = (16, 12, 8)) -> RankSpace:
    """A space whose later groups are larger."""
    names = tuple(f"block {index}" for index in range(num_groups))
    return RankSpace(names, ranks, tuple(100 + 10 * index for index in range(num_groups)))


def cost_of(ranks: Ranks, seed: int = 0) -> float:
    """A rugged cost: each group has a rank it likes, and neighbors disturb each other."""
    generator = random.Random(seed)
    liked = [generator.choice((16, 12, 8)) for _ in ranks]
    apart = sum(abs(rank - want) for rank, want in zip(ranks, liked, strict=True))
    rough = random.Random(hash((ranks, seed))).random()
    return apart / 8 + 0.3 * rough
