"""`bitdial map`: the width of every layer of a run, printed or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.run_numbers import RunId

Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="bitdial (YAML), qalof (QaLoF's JSON), or that of another program, as llama-cpp.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option("--map", metavar="LABEL", help="Of an evaluation of maps: which of them."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="A file to write; printed without one."),
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


def layer_map(
    run_id: RunId,
    *,
    label: Label = None,
    format_: Format = "bitdial",
    output: Output = None,
    force: Force = False,
) -> None:
    """Print or write the layer map of a run, for `evaluate --map` and `run --layer-map`."""
    from typing import cast

    from app.commands.opening import open_desk_here
    from app.commands.showing import say
    from engine.layer_maps.layer_map import FormatName
    from engine.layer_maps.reading import write_map
    from tasks.layer_maps import get_layer_map

    with open_desk_here() as desk:
        found = get_layer_map(desk, run_id, label=label)
    text = write_map(found, format_name=cast(FormatName, format_))
    if output is None:
        say(text.rstrip("\n"))
        return
    write_file(output, text, force=force)
    say(f"the layer map of run {run_id} is in {output}: {len(found.layers)} layers")


def write_file(path: Path, text: str, *, force: bool) -> None:
    """Write a file; it appears complete or not at all.

    Raises:
        SpecError: When it is there already and must not be written over, or cannot be written.
    """
    import os
    from contextlib import suppress

    from engine.errors import SpecError

    if path.is_dir():
        raise SpecError.at("--output", f"{path} is a folder; name a file")
    if path.exists() and not force:
        raise SpecError.at("--output", f"{path} is there already; name another file, or --force")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise SpecError.at(
            "--output", f"{path} cannot be written ({error.strerror}); name another file"
        ) from None
