"""`bitdial submit`: put a run into the queue; a worker carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.specs.presets import PRESETS

if TYPE_CHECKING:
    from app.commands.request import Request
    from tasks.submit import Desk

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SPEC] [KEY=VALUE]...",
        help="A YAML file, or - for standard input; then fields to set, as quantizer.bits=3.",
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a field; repeatable.")
]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset", help=f"Start from a preset: {', '.join(each.name for each in PRESETS)}."
    ),
]
MapFile = Annotated[
    Path | None,
    typer.Option(
        "--layer-map",
        metavar="FILE",
        help="Widths of single layers from a file, Bitdial's YAML or QaLoF's JSON, in place of the "
        "spec's quantizer.layer_bits.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the complete spec and the estimate; run nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Priority = Annotated[int, typer.Option(help="Higher goes first.", min=-1000, max=1000)]


def submit(
    words: Words = None,
    *,
    settings: Set = None,
    preset: PresetName = None,
    layer_map: MapFile = None,
    priority: Priority = 0,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Queue a run, and the 16-bit baseline it is compared with where there is none yet."""
    from app.commands.opening import open_desk_here
    from app.commands.request import read_request
    from app.commands.showing import say, write_json
    from engine.specs import resolve
    from tasks.submit import submit as hand_in

    request = read_request(words or (), preset=preset, settings=settings or (), layer_map=layer_map)
    resolved = resolve(request.values, request.overrides)
    with open_desk_here() as desk:
        if dry_run:
            show_preview(desk, request, as_json=as_json)
            return
        run = hand_in(desk, resolved, priority=priority)
        if as_json:
            write_json({"id": run.id, "name": run.name, "state": run.state})
        else:
            say(f"run {run.id} is queued: {run.name}")


def show_preview(desk: Desk, request: Request, *, as_json: bool) -> None:
    """Print the complete spec and the estimate.

    Raises:
        SpecError: When the request does not fit its model.
    """
    from app.commands.showing import say, say_estimate, write_json
    from engine.errors import SpecError
    from tasks.submit import preview

    found = preview(desk, request.values, request.overrides)
    if found.problems and found.estimate is None:
        raise SpecError(*found.problems)
    if as_json:
        spec = found.resolved.spec.model_dump(mode="json") if found.resolved else None
        write_json({"spec": spec, "estimate": found.estimate, "problems": found.problems})
    else:
        say(found.yaml.rstrip())
        say_estimate(found.estimate)
    if found.problems:
        raise SpecError(*found.problems)
