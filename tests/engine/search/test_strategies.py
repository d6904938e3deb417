"""What every strategy promises: its budget, valid proposals, no repetition, the same again."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.search.heuristics import list_starts
from engine.search.pareto import find_front
from engine.search.spaces import Ranks, RankSpace
from engine.search.strategies import run_strategy
from engine.search.trials import Trials
from engine.specs import (
    EvolutionaryStrategy,
    HeuristicsStrategy,
    HillClimbingStrategy,
    RandomStrategy,
    StrategySpec,
)
from tests.engine.search.landscapes import cost_of, make_space

SPACES = st.builds(
    make_space, st.integers(1, 6), st.sampled_from([(16,), (16, 8), (16, 12, 8), (9, 7, 5, 3, 1)])
)
EVALUATIONS = st.integers(1, 30)
SEARCHES: st.SearchStrategy[StrategySpec] = st.one_of(
    st.builds(RandomStrategy, num_evaluations=EVALUATIONS),
    st.builds(
        HillClimbingStrategy,
        num_evaluations=EVALUATIONS,
        num_neighbors=st.integers(1, 5),
        step_size=st.integers(1, 8),
    ),
    st.builds(
        EvolutionaryStrategy,
        num_evaluations=EVALUATIONS,
        population_size=st.integers(2, 6),
        crossover_prob=st.sampled_from([0.0, 0.9, 1.0]),
    ),
)
EACH = pytest.mark.parametrize(
    "strategy",
    [
        RandomStrategy(num_evaluations=60),
        HillClimbingStrategy(num_evaluations=60),
        EvolutionaryStrategy(num_evaluations=60),
    ],
    ids=lambda spec: spec.strategy,
)


@dataclass
class Oracle:
    """Answers with known costs and keeps what it was asked; may break off."""

    known: dict[Ranks, float] = field(default_factory=dict)
    asked: list[tuple[Ranks, str]] = field(default_factory=list)
    patience: float = math.inf

    def __call__(self, ranks: Ranks, origin: str) -> float:
        if len(self.asked) >= self.patience:
            raise KeyboardInterrupt
        self.asked.append((ranks, origin))
        return self.known.setdefault(ranks, cost_of(ranks))


def search(strategy: StrategySpec, space: RankSpace, oracle: Oracle, seed: int = 0) -> Oracle:
    starts = list_starts(space, None)
    run_strategy(strategy, space, starts=starts, evaluate=oracle, seed=seed)
    return oracle


@settings(max_examples=60, deadline=None)
@given(SEARCHES, SPACES, st.integers(0, 2**32 - 1))
def test_a_search_keeps_its_budget(strategy: StrategySpec, space: RankSpace, seed: int) -> None:
    """Exactly as many valid configurations as asked for, or the whole space; none twice."""
    asked = [ranks for ranks, _ in search(strategy, space, Oracle(), seed).asked]
    assert not isinstance(strategy, HeuristicsStrategy)
    assert len(asked) == min(strategy.num_evaluations, space.num_configurations)
    assert len(set(asked)) == len(asked)
    for ranks in asked:
        space.check(ranks)


@settings(max_examples=30, deadline=None)
@given(SEARCHES, SPACES, st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_an_interrupted_search_ends_like_an_uninterrupted_one(
    strategy: StrategySpec, space: RankSpace, seed: int, patience: int
) -> None:
    """Carried out again with what was known, it asks for the same configurations in order."""
    whole = search(strategy, space, Oracle(), seed)
    first = Oracle(patience=patience)
    try:
        search(strategy, space, first, seed)
    except KeyboardInterrupt:
        assert len(first.asked) == patience
    again = search(strategy, space, Oracle(known=dict(first.known)), seed)
    assert again.asked == whole.asked
    assert list(again.known) == list(whole.known)


@EACH
def test_named_configurations_come_first_and_count(strategy: StrategySpec) -> None:
    """The search begins with the starts, under their names, within its budget."""
    asked = search(strategy, make_space(), Oracle()).asked
    assert asked[:3] == [
        ((16,) * 4, "maximal"), ((12,) * 4, "median"), ((8,) * 4, "minimal"),
    ]  # fmt: skip
    assert {origin for _, origin in asked[3:]} == {strategy.strategy}
    assert len(asked) == 60
    short = strategy.model_copy(update={"num_evaluations": 2})
    assert [origin for _, origin in search(short, make_space(), Oracle()).asked] == [
        "maximal",
        "median",
    ]


@EACH
def test_another_seed_is_another_search(strategy: StrategySpec) -> None:
    """The seed decides what is proposed."""
    first, second = (search(strategy, make_space(8), Oracle(), seed).asked for seed in (1, 2))
    assert first != second


@EACH
def test_a_cost_that_is_no_number_stops_no_search(strategy: StrategySpec) -> None:
    """Configurations that cannot be scored are passed over."""
    costs: list[float] = []

    def evaluate(ranks: Ranks, origin: str) -> float:
        costs.append(math.nan if len(costs) % 3 == 0 else cost_of(ranks))
        return costs[-1]

    run_strategy(strategy, make_space(), starts=(), evaluate=evaluate, seed=0)
    assert len(costs) == 60


def test_heuristics_alone_evaluate_the_named_ones() -> None:
    """Nothing but the starts is evaluated, each once."""
    oracle = search(HeuristicsStrategy(), make_space(), Oracle())
    assert [origin for _, origin in oracle.asked] == ["maximal", "median", "minimal"]


def test_climbing_ends_on_top_of_a_smooth_hill() -> None:
    """Where every group counts for itself, the climb reaches the best of 6561 in 150 looks."""
    best = (8, 16, 12, 16, 8, 12, 12, 16)
    space = make_space(8)
    seen: dict[Ranks, float] = {}

    def evaluate(ranks: Ranks, origin: str) -> float:
        seen[ranks] = sum(abs(one - other) for one, other in zip(ranks, best, strict=True))
        return seen[ranks]

    strategy = HillClimbingStrategy(num_evaluations=150, step_size=2)
    run_strategy(strategy, space, starts=(), evaluate=evaluate, seed=0)
    assert next(iter(seen)) == (12,) * 8
    assert min(seen.values()) == 0


def test_evolution_spreads_over_cost_and_size() -> None:
    """Where rank buys quality, the front found is wider than one best point, and small to large."""
    space = make_space(6)
    oracle = Oracle()

    def evaluate(ranks: Ranks, origin: str) -> float:
        oracle(ranks, origin)
        return -float(sum(ranks))

    strategy = EvolutionaryStrategy(num_evaluations=80)
    run_strategy(strategy, space, starts=list_starts(space, None), evaluate=evaluate, seed=0)
    tried = [ranks for ranks, _ in oracle.asked]
    sizes = [space.count_parameters(ranks) for ranks in tried]
    front = find_front([-float(sum(ranks)) for ranks in tried], sizes)
    assert len(front) >= 8
    assert [tried[front[0]], tried[front[-1]]] == [(8,) * 6, (16,) * 6]


def test_a_start_outside_the_space_is_refused() -> None:
    """A start that was never trained is a sentence, not a search."""
    with pytest.raises(SpecError, match="10 is not in the rank space"):
        run_strategy(
            RandomStrategy(), make_space(1), starts=(("x", (10,)),), evaluate=Oracle(), seed=0
        )


def test_of_equal_costs_the_smaller_configuration_is_best() -> None:
    """The cheapest wins; among equals the one with fewer parameters."""
    trials = Trials(make_space(1), lambda ranks, _: float(ranks[0] == 8), budget=3)
    for rank in (16, 12, 8):
        trials.try_out((rank,), "test")
    assert trials.find_best() == (12,)
    assert trials.num_left == 0


def test_a_spent_budget_is_kept() -> None:
    """A new configuration after the last is a bug of the strategy, and known ones still answer."""
    trials = Trials(make_space(1), lambda *_: 1.0, budget=1)
    trials.try_out((16,), "test")
    assert trials.try_out((16,), "test") == 1.0
    with pytest.raises(RuntimeError, match="budget"):
        trials.try_out((8,), "test")


def test_searching_is_light() -> None:
    """Importing the strategies loads neither torch nor Optuna."""
    code = (
        "import sys, engine.search.strategies, engine.search.heuristics, engine.search.pareto;"
        "heavy = {'torch', 'transformers', 'datasets', 'optuna', 'lm_eval'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
