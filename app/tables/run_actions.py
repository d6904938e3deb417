"""What a person may do with a run in its state, and how far it is. Start with `list_actions`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from tasks.states import DELETABLE, can_move
from tasks.store.records import TERMINAL_STATES, RunRecord

Action = Literal["cancel", "retry", "clone", "delete"]


def list_actions(run: RunRecord) -> tuple[Action, ...]:
    """Return the allowed actions, in the order of the buttons."""
    actions: list[Action] = []
    if run.state not in TERMINAL_STATES and run.state != "draft" and run.control is None:
        actions.append("cancel")
    if run.state in TERMINAL_STATES and can_move(run.state, "queued"):
        actions.append("retry")
    if run.kind == "experiment":
        actions.append("clone")
    if run.state in DELETABLE:
        actions.append("delete")
    return tuple(actions)


def progress_ratio(run: RunRecord) -> float | None:
    """Return the share of the current stage that is done, between 0 and 1; None where unknown."""
    if not run.progress_total:
        return None
    return min(1.0, max(0.0, run.progress_done / run.progress_total))


def elapsed_seconds(run: RunRecord) -> float | None:
    """Return how long the run has run, or ran; None before it started."""
    if run.started_at is None or run.state in ("queued", "draft"):
        return None
    end = run.finished_at or datetime.now(UTC)
    return max(0.0, (end - run.started_at).total_seconds())
