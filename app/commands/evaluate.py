"""`bitdial evaluate`: measure a trained run at other widths or ranks; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.grouped import grouped
from app.commands.run_numbers import Parent
from app.commands.search import Fields, Foreground, hand_over
from app.commands.submit import AsJson, DryRun, Priority
from engine.errors import SpecError

if TYPE_CHECKING:
    from tasks.submit import Desk

Ranks = Annotated[
    str | None,
    typer.Option(
        metavar="R,R,...",
        help="Of a run with elastic adapters: the rank of each group of layers, in the model's "
        "order, or maximal, median, minimal.",
    ),
]
Widths = Annotated[
    str | None, typer.Option(metavar="B,B,...", help="Widths for all layers, one map each.")
]
MapFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=FILE",
        help="Widths of single layers from a file, Bitdial's YAML or QaLoF's JSON; repeatable.",
    ),
]
Draws = Annotated[
    list[str] | None,
    typer.Option(
        "--random",
        metavar="B,B,...[:SCOPE]",
        help="Widths drawn for every forward pass, shared by the model, a block or a layer; "
        "repeatable.",
    ),
]
Attack = Annotated[
    bool, typer.Option("--attack", help="Attack a classifier at every map as well (GBDA).")
]
Benchmarks = Annotated[
    str | None,
    typer.Option(help="Benchmarks with commas between; the training run's without any."),
]


@dataclass(frozen=True, kw_only=True)
class MapWords:
    """What to measure a run at, and whether to attack it there."""

    widths: Widths = None
    maps: MapFiles = None
    draws: Draws = None
    attack: Attack = False


@dataclass(frozen=True, kw_only=True)
class Order:
    """When and where to measure, or only to say what that would be."""

    priority: Priority = 0
    foreground: Foreground = False
    dry_run: DryRun = False
    as_json: AsJson = False


@grouped
def evaluate(
    run_id: Parent,
    words: Fields = None,
    *,
    wanted: MapWords,
    ranks: Ranks = None,
    benchmarks: Benchmarks = None,
    order: Order,
) -> None:
    """Queue the measurement of a finished run at other widths of its layers, or at given ranks."""
    from app.commands.opening import open_desk_here
    from tasks.submit import submit_evaluation, submit_map_evaluation

    chosen = _read_wanted(wanted)
    if ranks is not None:
        chosen["ranks"] = ranks
    values = _lay_over(chosen, benchmarks, words or ())
    is_ranks = _asks_for_ranks(values)
    with open_desk_here() as desk:
        if order.dry_run:
            _preview(desk, run_id, values, is_ranks=is_ranks, as_json=order.as_json)
            return
        submit = submit_evaluation if is_ranks else submit_map_evaluation
        run = submit(desk, run_id, values, priority=order.priority)
        hand_over(desk, run, foreground=order.foreground, as_json=order.as_json)


def _read_wanted(wanted: MapWords) -> dict[str, Any]:
    """Return maps and attack as values of a spec, where they were asked for."""
    from app.commands.map_words import read_maps

    chosen: dict[str, Any] = {}
    if found := read_maps(widths=wanted.widths, files=wanted.maps or (), draws=wanted.draws or ()):
        chosen["maps"] = found
    if wanted.attack:
        chosen["attack"] = {"attack": "gbda"}
    return chosen


def _lay_over(
    chosen: dict[str, Any], benchmarks: str | None, words: Sequence[str]
) -> dict[str, Any]:
    """Return the values of the options, with the line's own fields over them."""
    from engine.specs.resolve import lay_over

    if benchmarks is not None:
        names = [name.strip() for name in benchmarks.split(",") if name.strip()]
        chosen["evaluation"] = {"benchmarks": names}
    return lay_over(chosen, words)


def _asks_for_ranks(values: dict[str, Any]) -> bool:
    """Whether ranks are to be measured, and not maps.

    Raises:
        SpecError: When it is both or neither.
    """
    if "ranks" not in values and "maps" not in values:
        raise SpecError.at(
            "--widths",
            "is missing; give --widths 8,6,4, --map NAME=FILE or --random 8,6,4, or --ranks for a "
            "run with elastic adapters",
        )
    if "ranks" in values and ("maps" in values or "attack" in values):
        raise SpecError.at(
            "--ranks", "are measured in a run of their own; leave maps and the attack out"
        )
    return "ranks" in values


def _preview(
    desk: Desk, run_id: int, values: dict[str, Any], *, is_ranks: bool, as_json: bool
) -> None:
    """Print the complete spec and the estimate of an evaluation of maps."""
    from app.commands.showing import say, say_estimate, write_json
    from tasks.submit import preview_map_evaluation

    if is_ranks:
        raise SpecError.at("--dry-run", "is for widths and maps; leave it out, or --ranks")
    found = preview_map_evaluation(desk, run_id, values)
    if as_json:
        spec = found.spec.model_dump(mode="json")
        write_json({"spec": spec, "estimate": found.estimate, "problems": ()})
    else:
        say(found.yaml.rstrip())
        say_estimate(found.estimate)
