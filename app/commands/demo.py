"""`bitdial demo`: everything up, and six runs of a small real model in the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.up import Host, Port

if TYPE_CHECKING:
    from app.commands.serving import Running
    from tasks.settings import Settings
    from tasks.submit import Desk

Headless = Annotated[
    bool,
    typer.Option(
        "--headless", help="Open no web page; wait for the runs and print the leaderboard."
    ),
]


def demo(*, headless: Headless = False, host: Host = None, port: Port = None) -> None:
    """Compress SmolLM2-135M in six runs: the baseline, rounding, and training."""
    from app.commands.opening import load_settings_for
    from app.commands.serving import check_address, everything_up, list_parts

    settings = load_settings_for(host=host, port=port)
    if not headless:
        check_address(settings)
    parts = list_parts(settings, with_web=not headless)
    with everything_up(settings, parts=parts) as running:
        if headless:
            _wait_and_report(settings, running)
        else:
            _show(settings, running)


def queue_demo(desk: Desk) -> tuple[int, ...]:
    """Queue those of the six runs that are not there yet.

    Returns:
        The ids of all six, in the order of the demo.
    """
    from app.commands.demo_specs import DEMO
    from engine.specs import resolve
    from tasks.store.runs import list_runs
    from tasks.submit import submit

    run_ids = []
    for values in DEMO:
        resolved = resolve(values)
        wanted = resolved.spec.model_dump(mode="json", exclude={"name"})
        there = [
            run.id
            for run in list_runs(desk.database, limit=500)
            if {key: value for key, value in run.spec.items() if key != "name"} == wanted
            and run.state not in ("failed", "cancelled")
        ]
        run_ids.append(there[0] if there else submit(desk, resolved).id)
    return tuple(run_ids)


def _show(settings: Settings, running: Running) -> None:
    from app.commands.serving import wait_until_healthy
    from app.commands.showing import say
    from tasks.submit import open_desk

    if not wait_until_healthy(settings, running):
        return
    desk = open_desk(settings)
    try:
        run_ids = queue_demo(desk)
    finally:
        desk.database.dispose()
    say(f"Bitdial is up at http://{settings.host}:{settings.port} (Ctrl-C ends it)")
    say(f"the demo's {len(run_ids)} runs are queued; the leaderboard fills as they finish")
    running.wait()
    say("stopping")


def _wait_and_report(settings: Settings, running: Running) -> None:
    from app.commands.following import follow
    from app.commands.showing import print_leaderboard, say
    from tasks.store.leaderboard import list_rows
    from tasks.submit import open_desk

    desk = open_desk(settings)
    try:
        runs = follow(desk.database, queue_demo(desk), pause=running.wait)
        print_leaderboard(list_rows(desk.database))
    finally:
        desk.database.dispose()
    num_succeeded = sum(run.state == "succeeded" for run in runs)
    if running.asked_to_stop.is_set():
        say("stopped before the end; the next start goes on from here")
        raise typer.Exit(1)
    if num_succeeded < len(runs):
        say(f"{len(runs) - num_succeeded} of {len(runs)} runs did not succeed")
        raise typer.Exit(1)
