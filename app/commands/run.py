"""`bitdial run`: carry out one spec here and now, recorded like any other run."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands.run_numbers import Resume
from app.commands.submit import AsJson, DryRun, MapFile, PresetName, Set, Words, show_preview


def run(
    words: Words = None,
    *,
    settings: Set = None,
    preset: PresetName = None,
    layer_map: MapFile = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Carry out one run on this machine, after the baseline it is compared with; Ctrl-C cancels."""
    from app.commands.foreground import carry_out_here
    from app.commands.opening import open_desk_here
    from app.commands.request import read_request
    from engine.specs import resolve
    from tasks.submit import submit

    if resume is not None:
        asked = [*(words or ()), *(settings or ()), *filter(None, (preset, layer_map))]
        _go_on(resume, asked, dry_run=dry_run, as_json=as_json)
        return
    request = read_request(words or (), preset=preset, settings=settings or (), layer_map=layer_map)
    resolved = resolve(request.values, request.overrides)
    with open_desk_here() as desk:
        if dry_run:
            show_preview(desk, request, as_json=as_json)
            return
        carry_out_here(desk, submit(desk, resolved), as_json=as_json)


def _go_on(run_id: int, asked: Sequence[object], *, dry_run: bool, as_json: bool) -> None:
    """Go on with a run; its spec is what it was."""
    from app.commands.foreground import carry_out_here
    from app.commands.opening import open_desk_here
    from engine.errors import SpecError
    from tasks.submit import resume

    if asked or dry_run:
        raise SpecError.at(
            "--resume", "goes on with a run as it was asked; leave everything else out"
        )
    with open_desk_here() as desk:
        carry_out_here(desk, resume(desk, run_id), as_json=as_json)
