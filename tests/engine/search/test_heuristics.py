"""Named configurations are what their names say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.search.heuristics import find_named, list_starts, lowest_loss, most_frequent
from engine.search.rank_history import RankHistory, load_history, save_history
from tests.engine.search.landscapes import make_space

SPACE = make_space(2)
HISTORY = RankHistory(
    groups=SPACE.groups,
    rank_space=SPACE.ranks,
    ranks=((16, 8), (16, 8), (12, 8), (8, 16), (16, 12)),
    losses=(3.0, 1.0, 1.5, math.nan, 0.5),
)


@pytest.mark.parametrize(
    ("space", "median"), [((16,), 16), ((16, 12), 16), ((16, 12, 8), 12), ((32, 16, 8, 4), 16)]
)
def test_the_median_is_the_published_one(space: tuple[int, ...], median: int) -> None:
    """Of an even number the larger of the two in the middle: space[(n - 1) // 2]."""
    assert find_named("median", num_groups=3, rank_space=space) == (median,) * 3
    assert find_named("maximal", num_groups=2, rank_space=space) == (space[0],) * 2
    assert find_named("minimal", num_groups=2, rank_space=space) == (space[-1],) * 2


def test_an_unknown_name_is_refused() -> None:
    """The sentence lists the names there are."""
    with pytest.raises(SpecError, match="nor maximal, median, minimal"):
        find_named("best", num_groups=2, rank_space=(16, 8))


def test_most_frequent_is_chosen_group_by_group() -> None:
    """Each group gets the rank it was trained at most, whether or not they came together."""
    assert most_frequent(SPACE, HISTORY) == (16, 8)
    tied = RankHistory(SPACE.groups, SPACE.ranks, ((8, 12), (12, 12)), (1.0, 1.0))
    assert most_frequent(SPACE, tied) == (12, 12)


def test_lowest_loss_is_the_mean_over_a_configuration_s_steps() -> None:
    """A configuration seen twice counts with its mean; a loss that is no number counts nowhere."""
    assert lowest_loss(HISTORY) == ((16, 12), (12, 8), (16, 8))
    assert lowest_loss(HISTORY, num_lowest=1) == ((16, 12),)


def test_starts_hold_each_configuration_once() -> None:
    """What two names share is listed under the first, and without a history three are left."""
    assert list_starts(SPACE, HISTORY) == (
        ("maximal", (16, 16)),
        ("median", (12, 12)),
        ("minimal", (8, 8)),
        ("most-frequent", (16, 8)),
        ("lowest-loss", (16, 12)),
        ("lowest-loss", (12, 8)),
    )
    assert [name for name, _ in list_starts(SPACE, None)] == ["maximal", "median", "minimal"]
    assert list_starts(make_space(2, (16,)), None) == (("maximal", (16, 16)),)


def test_a_history_of_other_groups_is_refused() -> None:
    """A history that belongs to another run is no start."""
    with pytest.raises(SpecError, match="other groups or ranks"):
        list_starts(make_space(3), HISTORY)


def test_a_history_is_read_back_with_its_gaps(tmp_path: Path) -> None:
    """A loss that is no number is written as none, in JSON that anything reads."""
    path = tmp_path / "history.json"
    save_history(path, HISTORY)
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["losses"][3] is None
    found = load_history(path)
    assert found.ranks == HISTORY.ranks
    assert lowest_loss(found) == lowest_loss(HISTORY)
