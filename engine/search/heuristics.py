"""Configurations with a name, known before anything is evaluated. Start with `list_starts`.

maximal, median and minimal are those of Shears and SQFT (Muñoz et al. 2024, arXiv:2404.10934 and
arXiv:2410.03750); most frequent and lowest loss are read from what training sampled. The published
samples pick the best of them on the test split; here they are only where a search starts.
"""

from __future__ import annotations

import math
from collections import defaultdict

from engine.errors import SpecError
from engine.search.rank_history import RankHistory
from engine.search.spaces import Ranks, RankSpace

NUM_LOWEST = 5
NAMED = ("maximal", "median", "minimal")


def find_named(name: str, *, num_groups: int, rank_space: Ranks) -> Ranks:
    """Return the configuration called maximal, median or minimal.

    Raises:
        SpecError: At "ranks", for any other name.
    """
    chosen = {
        "maximal": rank_space[0],
        "median": rank_space[(len(rank_space) - 1) // 2],
        "minimal": rank_space[-1],
    }
    if name not in chosen:
        raise SpecError.at(
            "ranks", f"{name[:60]!r} is neither ranks with commas between nor {', '.join(NAMED)}"
        )
    return (chosen[name],) * num_groups


def most_frequent(space: RankSpace, history: RankHistory) -> Ranks:
    """Return for each group the rank that training sampled most; the largest of equals."""
    return tuple(
        space.ranks[max(range(len(space.ranks)), key=counts.__getitem__)]
        for counts in history.count_ranks()
    )


def lowest_loss(history: RankHistory, *, num_lowest: int = NUM_LOWEST) -> tuple[Ranks, ...]:
    """Return the configurations with the lowest mean training loss, the lowest first.

    In a large space each was sampled once, so this is much the luckiest batch, and late ones: worth
    evaluating, not worth trusting. Losses that are no number count for nothing: a run that trains
    several widths has such at those its scores are not of.
    """
    losses: dict[Ranks, list[float]] = defaultdict(list)
    for ranks, loss in zip(history.ranks, history.losses, strict=True):
        if math.isfinite(loss):
            losses[ranks].append(loss)
    means = {ranks: sum(seen) / len(seen) for ranks, seen in losses.items()}
    return tuple(sorted(means, key=means.__getitem__)[:num_lowest])


def list_starts(space: RankSpace, history: RankHistory | None) -> tuple[tuple[str, Ranks], ...]:
    """Return every named configuration once, each with the first name it has.

    Args:
        space: The space of the trained adapters.
        history: What training sampled, or None where it is not known.

    Raises:
        SpecError: When the history is of another space.
    """
    size = len(space.groups)
    starts = [(name, find_named(name, num_groups=size, rank_space=space.ranks)) for name in NAMED]
    if history is not None and history.ranks:
        if (history.groups, history.rank_space) != (space.groups, space.ranks):
            raise SpecError.at("parent", "its history of ranks is of other groups or ranks")
        starts.append(("most-frequent", most_frequent(space, history)))
        starts += [("lowest-loss", ranks) for ranks in lowest_loss(history)]
    first: dict[Ranks, str] = {}
    for name, ranks in starts:
        first.setdefault(ranks, name)
    return tuple((name, ranks) for ranks, name in first.items())
