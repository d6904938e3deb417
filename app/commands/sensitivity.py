"""`bitdial sensitivity`: score how much the width of each layer matters; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.evaluate import Order
from app.commands.grouped import grouped
from tasks.store.records import LARGEST_ID

if TYPE_CHECKING:
    from tasks.submit import Desk

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SPEC] [KEY=VALUE]...",
        help="A YAML file, or - for standard input; then fields to set, as "
        "calibration.num_samples=16. The bundled model without any.",
    ),
]
ParentRun = Annotated[
    int | None,
    typer.Option(
        "--run",
        metavar="RUN",
        min=1,
        max=LARGEST_ID,
        help="Score the layers of a finished training run, its adapters included.",
    ),
]
Method = Annotated[
    str | None,
    typer.Option(help="gradient (without any), ablation, output-error or weight-error."),
]
Widths = Annotated[
    str | None, typer.Option(metavar="B,B,...", help="Widths to score each unit at, as 4,3,2.")
]
Unit = Annotated[
    str | None, typer.Option(help="What changes at once: layer (without any), block or kind.")
]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What to score, and how."""

    run: ParentRun = None
    method: Method = None
    widths: Widths = None
    unit: Unit = None


@grouped
def sensitivity(words: Words = None, *, scoring: Scoring, order: Order) -> None:
    """Queue a sensitivity run: what is lost where one layer, block or kind has fewer bits."""
    from app.commands.opening import open_desk_here
    from app.commands.search import hand_over
    from tasks.submit import submit_sensitivity

    values, overrides = _read_asked(words or (), scoring)
    with open_desk_here() as desk:
        if order.dry_run:
            _preview(desk, values, overrides, as_json=order.as_json)
            return
        run = submit_sensitivity(desk, values, overrides=overrides, priority=order.priority)
        hand_over(desk, run, foreground=order.foreground, as_json=order.as_json)


def _read_asked(words: Sequence[str], scoring: Scoring) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the file's values with the options over them, and the line's own fields."""
    from app.commands.map_words import read_widths
    from app.commands.request import split_words
    from engine.specs.resolve import lay_over

    request = split_words(words)
    chosen: dict[str, Any] = {}
    if scoring.run is not None:
        chosen["parent"] = scoring.run
    if scoring.unit is not None:
        chosen["unit"] = scoring.unit
    if scoring.widths is not None:
        chosen["widths"] = read_widths("--widths", scoring.widths)
    named = () if scoring.method is None else (f"method.method={scoring.method}",)
    return lay_over({**request.values, **chosen}, named), request.overrides


def _preview(
    desk: Desk, values: dict[str, Any], overrides: tuple[str, ...], *, as_json: bool
) -> None:
    """Print the complete spec, how many scores that makes, and the estimate."""
    from app.commands.showing import say, say_needs, write_json
    from tasks.prediction import describe_estimate
    from tasks.submit import preview_sensitivity

    found = preview_sensitivity(desk, values, overrides=overrides)
    if as_json:
        spec = found.spec.model_dump(mode="json")
        estimate = describe_estimate(found.spec, found.estimate)
        told = {"spec": spec, "num_scores": found.num_scores, "estimate": estimate}
        write_json({**told, "problems": ()})
    else:
        say(found.yaml.rstrip())
        say(f"\nscores: {found.num_scores}")
        say_needs(found.estimate)
