"""Promises of the choice of ranks: a function of seed and step, and what each policy says."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.layers.rank_groups import RankGroups
from engine.search.spaces import RankSpace
from engine.specs import ElasticLoraAdapter
from engine.training.rank_policy import RankPolicy

SPACE = (16, 12, 8)
GROUPS = tuple(f"block {index}" for index in range(6))


def policy_of(name: str, *, seed: int = 5, **values: object) -> RankPolicy:
    """Return a policy over six groups."""
    spec = ElasticLoraAdapter.model_validate(
        {"rank_space": SPACE, "rank_policy": name} | dict(values)
    )
    members = tuple((f"layer of {group}",) for group in GROUPS)
    return RankPolicy(RankGroups(RankSpace(GROUPS, SPACE, (1,) * 6), members), spec, seed)


def test_a_configuration_follows_from_seed_and_step_alone() -> None:
    """Two policies of one seed agree at any step in any order; seeds and steps differ."""
    first, second = policy_of("uniform"), policy_of("uniform")
    later = [second.configurations(step) for step in (9, 3, 7)]
    assert [first.configurations(step) for step in (9, 3, 7)] == later
    assert len({first.configurations(step) for step in range(1, 101)}) > 90
    other = policy_of("uniform", seed=6)
    assert [first.configurations(step) for step in range(1, 9)] != [
        other.configurations(step) for step in range(1, 9)
    ]


def test_every_rank_is_as_likely_in_every_group() -> None:
    """Over 3,000 steps each of three ranks comes up in each group 1,000 times, within 5 sd."""
    policy = policy_of("uniform")
    counts = [Counter[int]() for _ in GROUPS]
    for step in range(1, 3001):
        for count, rank in zip(counts, policy.configurations(step)[-1], strict=True):
            count[rank] += 1
    assert all(abs(count[rank] - 1000) < 130 for count in counts for rank in SPACE)


def test_groups_are_drawn_apart() -> None:
    """Two groups have the same rank in a third of the steps, not always."""
    policy = policy_of("uniform")
    drawn = [policy.configurations(step)[0] for step in range(1, 1501)]
    same = sum(ranks[0] == ranks[1] for ranks in drawn)
    assert 400 < same < 600


def test_sandwich_trains_largest_smallest_and_a_drawn_one() -> None:
    """The drawn configuration comes last and is the one that uniform would draw."""
    largest, smallest, drawn = policy_of("sandwich").configurations(4)
    assert largest == (16,) * 6
    assert smallest == (8,) * 6
    assert (drawn,) == policy_of("uniform").configurations(4)


@pytest.mark.parametrize(("ranks", "expected"), [((), (16,) * 6), ((8, 12) * 3, (8, 12) * 3)])
def test_fixed_keeps_its_ranks(ranks: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Every step trains the given configuration, or the largest where none is given."""
    policy = policy_of("fixed", ranks=ranks)
    assert {policy.configurations(step) for step in range(1, 20)} == {(expected,)}
    assert policy.spec.reported_ranks(6) == expected


@pytest.mark.parametrize(("name", "rank"), [("maximal", 16), ("median", 12), ("minimal", 8)])
def test_the_reported_ranks_are_the_named_ones(name: str, rank: int) -> None:
    """What a run measures itself is the largest, the middle or the smallest everywhere."""
    policy = policy_of("uniform", sub_adapter=name)
    assert policy.spec.reported_ranks(6) == (rank,) * 6
