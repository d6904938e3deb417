"""What one search has evaluated, and how much more it may. Start with `Trials`.

Every strategy asks here: a configuration is evaluated once, and the budget counts configurations,
not questions. So a search that is carried out again with the same seed proposes the same ones, and
goes on where it stopped if whoever evaluates remembers the costs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from engine.search.spaces import Ranks, RankSpace

Evaluate = Callable[[Ranks, str], float]


class Trials:
    """The configurations a search has evaluated, within its budget.

    Attributes:
        space: What may be proposed.
        costs: What each evaluated configuration costs, in the order of evaluation; lower is better,
            infinite where there was no number.
    """

    def __init__(self, space: RankSpace, evaluate: Evaluate, *, budget: int) -> None:
        """Start with nothing evaluated.

        Args:
            space: What may be proposed.
            evaluate: From ranks and what proposed them to their cost; called once for each.
            budget: Most configurations to evaluate.
        """
        self.space = space
        self.costs: dict[Ranks, float] = {}
        self._evaluate = evaluate
        self._budget = min(budget, space.num_configurations)

    @property
    def num_left(self) -> int:
        """How many more configurations may be evaluated; 0 also when the whole space is seen."""
        return self._budget - len(self.costs)

    def is_new(self, ranks: Ranks) -> bool:
        """Whether a configuration has not been evaluated."""
        return ranks not in self.costs

    def try_out(self, ranks: Ranks, origin: str) -> float:
        """Return a configuration's cost, evaluated at most once.

        Raises:
            SpecError: When it is none of the space.
            RuntimeError: When it is new and nothing is left of the budget.
        """
        if self.is_new(ranks):
            if not self.num_left:
                raise RuntimeError("nothing is left of the search's budget")
            self.space.check(ranks)
            cost = self._evaluate(ranks, origin)
            self.costs[ranks] = math.inf if math.isnan(cost) else cost
        return self.costs[ranks]

    def find_best(self) -> Ranks:
        """Return the cheapest evaluated configuration: of equals the smallest, then the first.

        Raises:
            ValueError: When nothing is evaluated.
        """
        size = self.space.count_parameters
        return min(self.costs, key=lambda ranks: (self.costs[ranks], size(ranks)))

    def draw_new(self, generator: random.Random) -> Ranks:
        """Draw a configuration that has not been evaluated.

        Uniform while few are; where the drawn one is taken, the next in order that is not, so that
        this ends even when a single one is left.
        """
        number = generator.randrange(self.space.num_configurations)
        while not self.is_new(ranks := self._unfold(number)):
            number = (number + 1) % self.space.num_configurations
        return ranks

    def _unfold(self, number: int) -> Ranks:
        """Return the configuration with a number, the ranks as its digits."""
        digits = []
        for _ in self.space.groups:
            number, digit = divmod(number, len(self.space.ranks))
            digits.append(self.space.ranks[digit])
        return tuple(reversed(digits))
