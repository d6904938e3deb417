"""Configurations drawn at random: what every other strategy has to beat."""

from __future__ import annotations

import random

from engine.search.trials import Trials

ORIGIN = "random"


def search_randomly(trials: Trials, generator: random.Random) -> None:
    """Evaluate configurations drawn uniformly without repetition until the budget is spent."""
    while trials.num_left:
        trials.try_out(trials.draw_new(generator), ORIGIN)
