"""Spaces count what they hold and refuse what they do not."""

from __future__ import annotations

import pytest

from engine.errors import SpecError
from tests.engine.search.landscapes import make_space


def test_a_space_counts_configurations_and_parameters() -> None:
    """One rank of the space per group; parameters are rank times the sides of the layers."""
    space = make_space(3)
    assert space.num_configurations == 27
    assert space.count_parameters((16, 12, 8)) == 16 * 100 + 12 * 110 + 8 * 120
    assert space.everywhere(12) == (12, 12, 12)


def test_a_list_of_the_wrong_length_says_both_lengths() -> None:
    """Too many, too few or no ranks are one sentence with the number of ranks and of groups."""
    space = make_space(4)
    for ranks, words in (
        ((16,) * 5, "there are 5 ranks for 4 groups of layers"),
        ((16,), "there is 1 rank for 4 groups"),
        ((), "there are 0 ranks for 4 groups"),
    ):
        with pytest.raises(SpecError, match=words) as refused:
            space.check(ranks)
        assert refused.value.problems[0].field == "ranks"


def test_a_rank_outside_the_space_is_named() -> None:
    """A rank that was not trained is refused with the ranks there are, at the field asked for."""
    with pytest.raises(SpecError, match="10 is not in the rank space; choose from 16, 12, 8") as no:
        make_space(2).check((16, 10), field="adapter.ranks")
    assert no.value.problems[0].field == "adapter.ranks"
