"""Choosing the ranks of a trained elastic adapter: a search, or the evaluation of given ranks.

Both are runs of their own, children of the training run whose adapters they use. They hold that
run's spec, so that they read alone. Start with `RankSearchSpec`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.specs.base import Spec, option
from engine.specs.subject import Subject

SearchMetric = Literal["loss", "accuracy"]
SearchSplit = Literal["held-out", "validation"]


def _num_evaluations() -> Any:
    return option(
        40, "Evaluations", "Configurations to evaluate.", unit="configurations", ge=1, le=100_000
    )


class HeuristicsStrategy(Spec):
    """The named choices alone."""

    strategy: Literal["heuristics"] = option(
        "heuristics",
        "Strategy",
        "Compare the named choices: maximal, median, minimal, most frequent, lowest loss.",
    )


class RandomStrategy(Spec):
    """Ranks drawn uniformly, what every search has to beat."""

    strategy: Literal["random"] = option(
        "random", "Strategy", "Draw ranks at random; what the other strategies have to beat."
    )
    num_evaluations: int = _num_evaluations()


class HillClimbingStrategy(Spec):
    """From the best heuristic to better neighbors, step by step."""

    strategy: Literal["hill-climbing"] = option(
        "hill-climbing",
        "Strategy",
        "Start at the best heuristic; look at neighbors and move to the best while there is one.",
    )
    num_evaluations: int = _num_evaluations()
    num_neighbors: int = option(
        4, "Neighbors", "New neighbors looked at per turn.", ge=1, le=1000, advanced=True
    )
    step_size: int = option(
        3,
        "Step size",
        "Groups whose rank may change between neighbors.",
        unit="groups",
        ge=1,
        le=1000,
        advanced=True,
    )


class EvolutionaryStrategy(Spec):
    """NSGA-II over score and adapter parameters."""

    strategy: Literal["evolutionary"] = option(
        "evolutionary",
        "Strategy",
        "Evolve a population over score and adapter parameters at once (NSGA-II).",
    )
    num_evaluations: int = _num_evaluations()
    population_size: int = option(
        10, "Population", "Configurations per generation.", ge=2, le=1000, advanced=True
    )
    mutation_prob: float | None = option(
        None,
        "Mutation",
        "Chance that a group's rank is drawn anew; empty for 1 / number of groups.",
        gt=0,
        le=1,
        advanced=True,
    )
    crossover_prob: float = option(
        0.9, "Crossover", "Chance that two parents are mixed.", ge=0, le=1, advanced=True
    )


StrategySpec = Annotated[
    HeuristicsStrategy | RandomStrategy | HillClimbingStrategy | EvolutionaryStrategy,
    Field(discriminator="strategy"),
]


class ObjectiveSpec(Spec):
    """What configurations are compared on; never the test split."""

    split: SearchSplit = option(
        "held-out",
        "Chosen on",
        "held-out are the training examples the run never trained on; validation is the task's "
        "validation split.",
    )
    metric: SearchMetric = option(
        "loss",
        "Metric",
        "loss is the mean negative log-likelihood of the right answer per token, which tells "
        "close configurations apart; accuracy is the share of questions answered right, by "
        "log-likelihood per character.",
    )
    limit: int | None = option(
        None,
        "Limit",
        "Use only so many examples, spread evenly; empty for all.",
        unit="examples",
        ge=2,
    )
    batch_size: int = option(
        16,
        "Batch size",
        "Examples computed at once.",
        unit="examples",
        ge=1,
        le=1024,
        advanced=True,
    )


class RankSearchSpec(Subject):
    """A search for the best rank of each group of layers."""

    kind: Literal["search"] = option("search", "Kind", "Kind of run.", advanced=True)
    parent: int = option(..., "Training run", "Number of the run whose adapters are used.", ge=1)
    search: StrategySpec = option(
        HillClimbingStrategy(), "Search", "How configurations are proposed."
    )
    objective: ObjectiveSpec = option(
        ObjectiveSpec(), "Objective", "What configurations are compared on."
    )


class RankEvaluationSpec(Subject):
    """The evaluation of given ranks on a trained elastic adapter; nothing is trained."""

    kind: Literal["evaluation"] = option("evaluation", "Kind", "Kind of run.", advanced=True)
    parent: int = option(..., "Training run", "Number of the run whose adapters are used.", ge=1)
    ranks: tuple[int, ...] = option(
        ..., "Ranks", "The rank of each group, in the model's order, one per line.", min_length=1
    )
