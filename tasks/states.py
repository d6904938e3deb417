"""The states of a run and the moves between them, nothing else. Start with `MOVES`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tasks.store.records import RunState

STATES: tuple[RunState, ...] = ("draft", "queued", "running", "succeeded", "failed", "cancelled")

MOVES: Mapping[RunState, frozenset[RunState]] = MappingProxyType(
    {
        "draft": frozenset({"queued"}),
        "queued": frozenset({"running", "cancelled"}),
        "running": frozenset({"succeeded", "failed", "cancelled", "queued"}),
        "succeeded": frozenset(),
        "failed": frozenset({"queued"}),
        "cancelled": frozenset({"queued"}),
    }
)
DELETABLE: frozenset[RunState] = frozenset(STATES) - {"running"}


def can_move(before: RunState, after: RunState) -> bool:
    """Whether a run may go from one state to the other."""
    return after in MOVES[before]


def list_sources(after: RunState) -> tuple[RunState, ...]:
    """Return the states from which a run may come to this one."""
    return tuple(state for state in STATES if after in MOVES[state])
