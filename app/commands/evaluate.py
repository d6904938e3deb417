"""`bitdial evaluate`: measure a run with elastic adapters at given ranks; nothing is trained."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.commands.run_numbers import Parent
from app.commands.search import Fields, Foreground, hand_over
from app.commands.submit import AsJson, Priority

Ranks = Annotated[
    str,
    typer.Option(
        metavar="R,R,...",
        help="The rank of each group of layers, in the model's order, or maximal, median, minimal.",
    ),
]
Benchmarks = Annotated[
    str | None,
    typer.Option(help="Benchmarks with commas between; the training run's without any."),
]


def evaluate(
    run_id: Parent,
    words: Fields = None,
    *,
    ranks: Ranks,
    benchmarks: Benchmarks = None,
    priority: Priority = 0,
    foreground: Foreground = False,
    as_json: AsJson = False,
) -> None:
    """Queue the evaluation of given ranks of a finished run with elastic adapters."""
    from app.commands.opening import open_desk_here
    from engine.specs.resolve import lay_over
    from tasks.submit import submit_evaluation

    chosen: dict[str, Any] = {"ranks": ranks}
    if benchmarks is not None:
        names = [name.strip() for name in benchmarks.split(",") if name.strip()]
        chosen["evaluation"] = {"benchmarks": names}
    values = lay_over(chosen, words or ())
    with open_desk_here() as desk:
        run = submit_evaluation(desk, run_id, values, priority=priority)
        hand_over(desk, run, foreground=foreground, as_json=as_json)
