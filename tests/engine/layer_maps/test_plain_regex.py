"""Expressions as wildcards: what they stand for, and how much is written down on the way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.layer_maps.layer_map import MAX_NAME
from engine.layer_maps.plain_regex import MAX_STEPS, spell_all

ATOMS = st.sampled_from(["a", "b_", r"\.", "(a|b)", "(?:ab|)", "[0-2]", "b?", "(a|[01])?"])


@given(st.lists(ATOMS, min_size=1, max_size=5), st.text("ab_.019", max_size=8))
def test_stands_for_what_matches(atoms: list[str], name: str) -> None:
    """Without a dot or a star a name is among the spellings exactly where the expression fits."""
    expression = "".join(atoms)
    (found,) = spell_all([f"^{expression}$"])
    assert (name in found.patterns) == bool(re.fullmatch(expression, name))
    assert all(re.fullmatch(expression, each) for each in found.patterns)


def count_steps(expression: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return after how many steps reading is given up where one fewer would do."""
    low, high = 0, MAX_STEPS
    while low < high:
        middle = (low + high) // 2
        monkeypatch.setattr("engine.layer_maps.plain_regex.MAX_STEPS", middle)
        try:
            spell_all([expression])
            high = middle
        except ValueError:
            low = middle + 1
    return low


def test_letters_behind_alternatives_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind 512 spellings 250 letters take as many steps as one does, not 250 times as many."""
    alternatives = "(a|b)" * 9
    one = count_steps(f"{alternatives}n", monkeypatch)
    assert 512 <= one < 5_000
    assert count_steps(f"{alternatives}{'n' * 250}", monkeypatch) == one


def test_length() -> None:
    """An expression may be as long as a layer's name, and no longer."""
    assert spell_all(["a" * MAX_NAME])[0].patterns == ("a" * MAX_NAME,)
    with pytest.raises(ValueError, match=r"301 characters, 'aaa.*; 1 to 300 are accepted"):
        spell_all(["a" * (MAX_NAME + 1)])


def test_a_file_of_alternatives_that_come_to_nothing_is_given_up() -> None:
    """Steps count over all expressions, also where what they spell is the same name."""
    with pytest.raises(ValueError, match="more than 1,000,000 steps"):
        spell_all(["(a|a)" * 9] * 3000)
    assert spell_all(["blk.[0-9][0-9][0-9].attn_output.weight"] * 10)
