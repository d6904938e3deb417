"""`bitdial search`: choose the ranks of a run with elastic adapters, without training again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.run_numbers import Parent
from app.commands.submit import AsJson, Priority

if TYPE_CHECKING:
    from tasks.store.records import RunRecord
    from tasks.submit import Desk

Fields = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Fields to set, as seed=7 or evaluation.benchmark_limit=100.",
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(help="heuristics, random, hill-climbing (without any) or evolutionary."),
]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="Carry it out here and now, as `bitdial run` does.")
]


def search(
    run_id: Parent,
    words: Fields = None,
    *,
    strategy: Strategy = None,
    priority: Priority = 0,
    foreground: Foreground = False,
    as_json: AsJson = False,
) -> None:
    """Queue a search for the best ranks of a finished run with elastic adapters."""
    from app.commands.opening import open_desk_here
    from engine.specs.resolve import lay_over
    from tasks.submit import submit_search

    chosen = [] if strategy is None else [f"search.strategy={strategy}"]
    values = lay_over({}, (*chosen, *(words or ())))
    with open_desk_here() as desk:
        run = submit_search(desk, run_id, values, priority=priority)
        hand_over(desk, run, foreground=foreground, as_json=as_json)


def hand_over(desk: Desk, run: RunRecord, *, foreground: bool, as_json: bool) -> None:
    """Say that a run waits for a worker, or carry it out here."""
    from app.commands.foreground import carry_out_here
    from app.commands.showing import say, write_json

    if foreground:
        carry_out_here(desk, run, as_json=as_json)
    elif as_json:
        write_json({"id": run.id, "name": run.name, "state": run.state})
    else:
        say(f"run {run.id} is queued: {run.name}")
