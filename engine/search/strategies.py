"""A strategy's spec carried out. Start with `run_strategy`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import assert_never

from engine.search.evolutionary import evolve
from engine.search.hill_climbing import climb
from engine.search.random_search import search_randomly
from engine.search.spaces import Ranks, RankSpace
from engine.search.trials import Evaluate, Trials
from engine.specs import (
    EvolutionaryStrategy,
    HeuristicsStrategy,
    HillClimbingStrategy,
    RandomStrategy,
    StrategySpec,
)


def run_strategy(
    strategy: StrategySpec,
    space: RankSpace,
    *,
    starts: Sequence[tuple[str, Ranks]],
    evaluate: Evaluate,
    seed: int,
) -> None:
    """Propose configurations and have them evaluated, until the budget is spent.

    The same strategy, space, starts, costs and seed give the same proposals in the same order. So a
    search that was interrupted is carried out again from its beginning, with an `evaluate` that
    answers from memory what it knows. No configuration is asked for twice.

    Args:
        strategy: Which way to search, and its budget.
        space: What may be proposed.
        starts: Named configurations, evaluated first; they count as evaluations.
        evaluate: From ranks and what proposed them to a cost; lower is better.
        seed: Seed of everything random.

    Raises:
        SpecError: When a start is none of the space.
    """
    trials = Trials(space, evaluate, budget=count_evaluations(strategy, starts=len(starts)))
    for origin, ranks in starts:
        if trials.num_left:
            trials.try_out(ranks, origin)
    generator = random.Random(seed)  # noqa: S311 - ranks are no secrets
    match strategy:
        case HeuristicsStrategy():
            pass
        case RandomStrategy():
            search_randomly(trials, generator)
        case HillClimbingStrategy():
            climb(
                trials,
                generator,
                num_neighbors=strategy.num_neighbors,
                step_size=strategy.step_size,
            )
        case EvolutionaryStrategy():
            evolve(
                trials,
                population_size=strategy.population_size,
                mutation_prob=strategy.mutation_prob,
                crossover_prob=strategy.crossover_prob,
                seed=seed,
            )
        case _:
            assert_never(strategy)


def count_evaluations(strategy: StrategySpec, *, starts: int) -> int:
    """Return the most configurations a strategy evaluates; the named ones alone have no other."""
    return starts if isinstance(strategy, HeuristicsStrategy) else strategy.num_evaluations
