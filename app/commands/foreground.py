"""Carrying a queued run out here and now, and telling how it ended. Start with `carry_out_here`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tasks.store.records import RunRecord
    from tasks.submit import Desk


def carry_out_here(desk: Desk, queued: RunRecord, *, as_json: bool) -> None:
    """Work off a queued run on this machine, after its baseline where that waits too.

    Ctrl-C cancels. Prints scores and the end.

    Raises:
        typer.Exit: With code 1 where the run did not succeed.
    """
    ended = _carry_out(desk, queued)
    _report(desk, ended, as_json=as_json)
    if ended.state != "succeeded":
        raise typer.Exit(1)


def _carry_out(desk: Desk, run: RunRecord) -> RunRecord:
    """Work off the baseline, if it still waits, and then the run."""
    from app.supervisor import stop_requests
    from tasks.store.runs import get_run

    with stop_requests() as asked:
        for run_id in (*_list_waiting_baselines(desk, run), run.id):
            if asked.is_set():
                _cancel(desk, run_id)
            else:
                _work_off(desk, run_id, asked)
    return get_run(desk.database, run.id)


def _list_waiting_baselines(desk: Desk, run: RunRecord) -> tuple[int, ...]:
    from tasks.store.runs import list_runs

    waiting = list_runs(desk.database, states=("queued",), before_id=run.id, limit=1000)
    return tuple(
        other.id
        for other in waiting
        if other.is_baseline and other.baseline_key == run.baseline_key
    )


def _work_off(desk: Desk, run_id: int, asked: threading.Event) -> None:
    """Carry out one run in a process of its own, and tell how it gets on."""
    import sys

    from app.commands.following import follow
    from app.processes import start_child
    from tasks.processes import stop

    log_path = desk.settings.data_folder / "logs" / "foreground.log"
    child = start_child("run", ("-m", "tasks.foreground", str(run_id)), log_path=log_path)
    is_cancelled = False

    def pause(seconds: float) -> bool:
        nonlocal is_cancelled
        if asked.wait(seconds) and not is_cancelled:
            is_cancelled = True
            _cancel(desk, run_id)
        return child.process.poll() is not None

    try:
        follow(desk.database, (run_id,), pause=pause, file=sys.stderr)
    finally:
        stop(child.process, grace_seconds=desk.settings.cancel_grace_seconds)


def _cancel(desk: Desk, run_id: int) -> None:
    from contextlib import suppress

    from tasks.errors import WrongState
    from tasks.submit import cancel

    with suppress(WrongState):
        cancel(desk, run_id)


def _report(desk: Desk, run: RunRecord, *, as_json: bool) -> None:
    from app.commands.runs import write_detail
    from app.commands.showing import say, say_scores
    from app.commands.showing_maps import describe_maps
    from app.commands.showing_sensitivity import describe_sensitivity
    from tasks.store.map_scores import list_map_scores
    from tasks.store.measurements import list_scores

    if as_json:
        write_detail(desk, run)
        return
    say_scores(list_scores(desk.database, run.id))
    maps = describe_maps(list_map_scores(desk.database, run.id))
    for line in (*maps, *describe_sensitivity(desk, run)):
        say(line)
    say(f"run {run.id} {run.state}: {run.name}")
    if run.failure_message:
        say(run.failure_message)
