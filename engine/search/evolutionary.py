"""A population that evolves over cost and adapter parameters at once. Start with `evolve`.

NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002, IEEE Transactions on Evolutionary Computation 6:2)
as Optuna has it. Known configurations are the first population, and a child that was seen before
is dropped, as in the search of SQFT (Muñoz, Yuan and Jain 2024, arXiv:2410.03750); after several of
them in a row a configuration is drawn at random, so that the search ends.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.search.spaces import Ranks
from engine.search.trials import Trials

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

ORIGIN = "evolutionary"
MAX_REPEATS = 20


def evolve(
    trials: Trials,
    *,
    population_size: int,
    mutation_prob: float | None,
    crossover_prob: float,
    seed: int,
) -> None:
    """Breed configurations until the budget is spent or the whole space is seen.

    Args:
        trials: What is evaluated already belongs to the first population.
        population_size: Configurations per generation.
        mutation_prob: Chance that a group's rank is drawn anew; None for 1 / number of groups.
        crossover_prob: Chance that two parents are mixed.
        seed: Seed of the draws.
    """
    import optuna  # noqa: PLC0415 - only this search needs it

    generator = random.Random(seed)  # noqa: S311 - ranks are no secrets
    sampler = optuna.samplers.NSGAIISampler(
        population_size=population_size,
        mutation_prob=mutation_prob,
        crossover_prob=crossover_prob,
        seed=seed,
    )
    with _quiet():
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        for ranks in tuple(trials.costs):
            study.enqueue_trial(_name(ranks))
            _tell(study, study.ask(), trials, expect=ranks)
        repeats = 0
        while trials.num_left:
            if repeats == MAX_REPEATS:
                study.enqueue_trial(_name(trials.draw_new(generator)))
            repeats = 0 if _tell(study, study.ask(), trials) else repeats + 1


def _tell(study: Study, trial: Trial, trials: Trials, *, expect: Ranks | None = None) -> bool:
    """Evaluate what the study proposes; False where it was seen before."""
    from optuna.trial import TrialState  # noqa: PLC0415 - only this search needs it

    choices = trials.space.ranks
    ranks = tuple(
        int(trial.suggest_categorical(key, choices)) for key in _keys(len(trials.space.groups))
    )
    is_known = ranks != expect and not trials.is_new(ranks)
    if is_known:
        study.tell(trial, state=TrialState.FAIL)
        return False
    cost = trials.try_out(ranks, ORIGIN)
    study.tell(trial, [cost, trials.space.count_parameters(ranks)])
    return True


def _name(ranks: Ranks) -> dict[str, int]:
    return dict(zip(_keys(len(ranks)), ranks, strict=True))


def _keys(size: int) -> tuple[str, ...]:
    return tuple(f"group {index}" for index in range(size))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling of every trial; its level is as before afterwards."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
