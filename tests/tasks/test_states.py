"""The states a run may have and the moves between them."""

from __future__ import annotations

from tasks.states import DELETABLE, MOVES, STATES, can_move, list_sources
from tasks.store.records import TERMINAL_STATES
from tasks.store.tables import STATE_CHECK


def test_what_succeeded_never_moves() -> None:
    """A result is final; only failed and cancelled runs may be queued again."""
    assert MOVES["succeeded"] == frozenset()
    assert set(list_sources("queued")) == {"draft", "running", "failed", "cancelled"}
    assert list_sources("running") == ("queued",)
    assert not can_move("queued", "succeeded")


def test_every_state_is_listed_once() -> None:
    """Moves, the database's check and what may be deleted speak of the same states."""
    assert set(MOVES) == set(STATES)
    assert all(f"'{state}'" in STATE_CHECK for state in STATES)
    assert set(STATES) > DELETABLE > TERMINAL_STATES
