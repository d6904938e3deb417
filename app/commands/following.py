"""Telling on the terminal how runs get on, read from the store. Start with `follow`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from app.commands.showing import say
from app.quantities import write_seconds
from tasks.store.database import Database
from tasks.store.records import TERMINAL_STATES, RunRecord
from tasks.store.runs import get_run

_LOOK_SECONDS = 0.5
_SPEAK_SECONDS = 10.0


@dataclass(frozen=True)
class _Spoken:
    """What was said last of a run, and when."""

    at: float
    topic: tuple[str, str | None]
    sentence: str


def follow(
    database: Database,
    run_ids: Sequence[int],
    *,
    pause: Callable[[float], bool],
    file: TextIO | None = None,
) -> tuple[RunRecord, ...]:
    """Print a line whenever a run moves on, until all have ended.

    Args:
        database: The store.
        run_ids: Which runs.
        pause: Waits that many seconds; True means to stop following.
        file: Where the lines go; None for stdout.

    Returns:
        The runs as last seen.
    """
    spoken: dict[int, _Spoken] = {}
    while True:
        runs = tuple(get_run(database, run_id) for run_id in run_ids)
        for run in runs:
            _speak(run, spoken, file)
        if all(run.state in TERMINAL_STATES for run in runs):
            return runs
        if pause(_LOOK_SECONDS):
            return tuple(get_run(database, run_id) for run_id in run_ids)


def describe_progress(run: RunRecord) -> str:
    """Return where the run stands, in a few words."""
    if run.state == "failed":
        return f"failed: {run.failure_message}"
    if run.state != "running" or run.stage is None:
        return run.state
    words = run.stage
    if run.progress_total:
        words += f" {run.progress_done}/{run.progress_total}"
    if run.eta_seconds is not None:
        words += f", {write_seconds(run.eta_seconds)} left"
    return words


def _speak(run: RunRecord, spoken: dict[int, _Spoken], file: TextIO | None) -> None:
    """Say what is new: a state or stage at once, progress within one now and then."""
    topic = (run.state, run.stage if run.state == "running" else None)
    before = spoken.get(run.id)
    now, sentence = time.monotonic(), describe_progress(run)
    if before is not None and before.sentence == sentence:
        return
    if before is not None and before.topic == topic and now - before.at < _SPEAK_SECONDS:
        return
    spoken[run.id] = _Spoken(now, topic, sentence)
    say(f"#{run.id} {run.name}: {sentence}", file=file)
