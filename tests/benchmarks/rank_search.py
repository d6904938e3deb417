"""Rank search against random search, on a recorded table of real evaluations.

The table holds the score of every configuration of a small space, measured once on a trained
elastic adapter, so that a search costs nothing and the best there is is known. Every strategy gets
the same number of evaluations; random search draws without repetition, once with nothing known and
once after the named configurations that the others start from. Start with `measure`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from engine.search.heuristics import list_starts
from engine.search.spaces import Ranks, RankSpace
from engine.search.strategies import run_strategy
from engine.specs import (
    EvolutionaryStrategy,
    HillClimbingStrategy,
    RandomStrategy,
    StrategySpec,
)
from tests.benchmarks.report import CannotMeasure, Report, describe_environment

TABLE = Path(__file__).with_name("rank_table.json")
BUDGETS = (10, 20, 40)
NUM_SEEDS = 200
HIGHER_IS_BETTER = frozenset({"accuracy"})
RANDOM = "random"
AT_LEAST_AS_OFTEN = ">=0.5"
POPULATION = EvolutionaryStrategy().population_size


@dataclass(frozen=True)
class RankTable:
    """The cost of every configuration of a space.

    Attributes:
        space: The space.
        costs: Configuration to cost, lower is better.
        sign: 1 where the metric is the cost, -1 where higher is better.
        origin: What was recorded: metric, model, data, date, ...
    """

    space: RankSpace
    costs: Mapping[Ranks, float]
    sign: int
    origin: Mapping[str, Any]


def load_table(path: Path) -> RankTable:
    """Read a recorded table.

    Raises:
        CannotMeasure: When it is missing, damaged, or leaves configurations out.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        groups, ranks = tuple(values["groups"]), tuple(values["rank_space"])
        space = RankSpace(groups, ranks, tuple(values["parameters_per_rank"]))
        sign = -1 if values["metric"] in HIGHER_IS_BETTER else 1
        costs = {tuple(row["ranks"]): sign * float(row["value"]) for row in values["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotMeasure(f"the table {path.name} is missing or damaged: {error!r}") from error
    if len(costs) != space.num_configurations or not all(map(math.isfinite, costs.values())):
        raise CannotMeasure(
            f"the table {path.name} has {len(costs)} finite rows for {space.num_configurations} "
            "configurations; it must cover its space"
        )
    told = ("groups", "rank_space", "parameters_per_rank", "rows")
    origin = {key: value for key, value in values.items() if key not in told}
    return RankTable(space, costs, sign, origin)


def measure(
    table: RankTable, *, budgets: Sequence[int] = BUDGETS, num_seeds: int = NUM_SEEDS
) -> Report:
    """Search the table with every strategy, seed and budget.

    Of each strategy and budget, `best` is the mean best score reached, `regret` how far that is
    from the table's best in its own unit, `regret_ratio` the same as a share of random search's,
    `beats` the share of seeds with a better end than random search's, half of the ties counted.
    """
    best = min(table.costs.values())
    figures: dict[str, float] = {
        "table_best": table.sign * best,
        "table_mean": table.sign * mean(table.costs.values()),
        "table_worst": table.sign * max(table.costs.values()),
    }
    targets: dict[str, str] = {}
    for budget in budgets:
        ends = {
            name: [search(table, name, budget, seed) for seed in range(num_seeds)]
            for name in (RANDOM, "random-after-starts", "hill-climbing", "evolutionary")
        }
        for name, reached in ends.items():
            figures |= {
                f"{name}_{budget}_{figure}": value
                for figure, value in compare(reached, ends[RANDOM], best=best).items()
            }
            figures[f"{name}_{budget}_best"] *= table.sign
        targets[f"hill-climbing_{budget}_beats"] = AT_LEAST_AS_OFTEN
        if budget > POPULATION:  # the first population is drawn at random itself
            targets[f"evolutionary_{budget}_beats"] = AT_LEAST_AS_OFTEN
    environment = describe_environment(
        ("optuna",), seeds=num_seeds, configurations=len(table.costs), table=dict(table.origin)
    )
    return Report("rank_search", figures, targets, environment)


def search(table: RankTable, name: str, budget: int, seed: int) -> float:
    """Return the lowest cost that a strategy reaches within a budget."""
    seen: list[float] = []

    def evaluate(ranks: Ranks, origin: str) -> float:
        del origin
        seen.append(table.costs[ranks])
        return seen[-1]

    starts = () if name == RANDOM else list_starts(table.space, None)
    strategy = build_strategy(name, budget)
    run_strategy(strategy, table.space, starts=starts, evaluate=evaluate, seed=seed)
    return min(seen)


def build_strategy(name: str, budget: int) -> StrategySpec:
    """Return a strategy as Bitdial has it by default, with this many evaluations."""
    if name == "hill-climbing":
        return HillClimbingStrategy(num_evaluations=budget)
    if name == "evolutionary":
        return EvolutionaryStrategy(num_evaluations=budget)
    return RandomStrategy(num_evaluations=budget)


def compare(reached: Sequence[float], peer: Sequence[float], *, best: float) -> dict[str, float]:
    """Compare where a strategy ended with where random search did, seed by seed."""
    regret, of_peer = mean(reached) - best, mean(peer) - best
    wins = [
        1.0 if one < other else 0.5 if one == other else 0.0
        for one, other in zip(reached, peer, strict=True)
    ]
    return {
        "best": mean(reached),
        "regret": regret,
        "regret_ratio": regret / of_peer if of_peer > 0 else 1.0,
        "beats": mean(wins),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, as JSON or as lines; 2 where there is no table."""
    parser = argparse.ArgumentParser(description="Rank search against random search.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--table", type=Path, default=TABLE, help="the recorded evaluations")
    asked = parser.parse_args(arguments)
    try:
        report = measure(load_table(asked.table))
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{report.to_json() if asked.json else report.to_text()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
