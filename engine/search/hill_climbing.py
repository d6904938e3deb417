"""From the best known configuration to better neighbors, turn by turn. Start with `climb`.

As described for Shears and SQFT (Muñoz, Yuan and Jain 2024, arXiv:2404.10934 and arXiv:2410.03750):
start at the heuristic configuration; each turn, sample neighbors within a step size that were not
visited, and move to the best of them if it is better. Their code is not published. We differ where
the papers leave it open or stop early: the start is the best of all named configurations, not the
median alone; of equally good places the smaller is better; the search ends with its budget, not
after a number of turns, so it looks again around the same place when no neighbor was better; and
where the neighborhood is used up, the step grows by one group, until the whole space is seen.
"""

from __future__ import annotations

import random

from engine.search.heuristics import find_named
from engine.search.spaces import Ranks, RankSpace
from engine.search.trials import Trials

ORIGIN = "hill-climbing"
MAX_DRAWS = 100


def climb(trials: Trials, generator: random.Random, *, num_neighbors: int, step_size: int) -> None:
    """Move to better neighbors until the budget is spent.

    Args:
        trials: What is evaluated already; the best of it is the start, the median where there is
            nothing.
        generator: Draws the neighbors.
        num_neighbors: New neighbors looked at per turn.
        step_size: Groups whose rank may differ between neighbors.
    """
    if not trials.costs and trials.num_left:
        space = trials.space
        start = find_named("median", num_groups=len(space.groups), rank_space=space.ranks)
        trials.try_out(start, "median")
    while trials.num_left:
        anchor = trials.find_best()
        for _ in range(min(num_neighbors, trials.num_left)):
            trials.try_out(_draw_neighbor(trials, anchor, generator, step_size=step_size), ORIGIN)


def _draw_neighbor(
    trials: Trials, anchor: Ranks, generator: random.Random, *, step_size: int
) -> Ranks:
    """Draw a new configuration that differs from the anchor in as few groups as it can."""
    if len(trials.space.ranks) > 1:
        for step in range(min(step_size, len(anchor)), len(anchor) + 1):
            for _ in range(MAX_DRAWS):
                ranks = _step_away(trials.space, anchor, generator, step=step)
                if trials.is_new(ranks):
                    return ranks
    return trials.draw_new(generator)


def _step_away(space: RankSpace, anchor: Ranks, generator: random.Random, *, step: int) -> Ranks:
    """Give one to `step` groups another rank."""
    ranks = list(anchor)
    for index in generator.sample(range(len(ranks)), generator.randint(1, step)):
        ranks[index] = generator.choice([rank for rank in space.ranks if rank != ranks[index]])
    return tuple(ranks)
