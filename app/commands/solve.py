"""`bitdial solve`: from a sensitivity run and a budget to a layer map.

Without a file to write, the map is printed below what there is to say of it; alone where a format
is named, so that another program can read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.grouped import grouped
from app.commands.layer_map import Force
from app.commands.submit import AsJson
from tasks.store.records import LARGEST_ID

Sensitivity = Annotated[
    int,
    typer.Option(
        metavar="RUN", min=1, max=LARGEST_ID, help="Number of the sensitivity run to go by."
    ),
]
Budget = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="What the quantized layers may take with scales and zero points: 60MiB, 3.0 (bits per "
        "weight) or 25% (of 16 bits).",
    ),
]
WholeModel = Annotated[
    bool, typer.Option("--whole-model", help="MiB are of the whole model, embeddings included.")
]
Pins = Annotated[
    list[str] | None,
    typer.Option("--pin", metavar="LAYER=BITS", help="Give layers a width; repeatable."),
]
Least = Annotated[
    list[str] | None,
    typer.Option("--least", metavar="PATTERN=BITS", help="The lowest width of layers; repeatable."),
]
Most = Annotated[
    list[str] | None,
    typer.Option("--most", metavar="PATTERN=BITS", help="The highest width; repeatable."),
]
Widths = Annotated[
    str | None,
    typer.Option(metavar="B,B,...", help="Choose from these alone; all scored ones without any."),
]
Fuse = Annotated[
    bool, typer.Option("--fuse", help="One width for query, key and value, and for gate and up.")
]
Metric = Annotated[str | None, typer.Option(help="Which of the run's metrics, if not divergence.")]
Exact = Annotated[bool, typer.Option("--exact", help="Prove that no map of this size loses less.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="A file to write the map to; printed without one."
    ),
]
MapFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="bitdial (YAML), qalof (QaLoF's JSON), or that of another program, as llama-cpp; "
        "without --output the map is then printed alone, as a file holds it.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a person knows better than the scores."""

    pins: Pins = None
    least: Least = None
    most: Most = None
    widths: Widths = None
    fuse: Fuse = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to go by."""

    whole_model: WholeModel = False
    metric: Metric = None
    exact: Exact = False


@dataclass(frozen=True, kw_only=True)
class Written:
    """Where the map goes, and how."""

    output: Output = None
    format_: MapFormat = None
    force: Force = False
    as_json: AsJson = False


@grouped
def solve(
    *, sensitivity: Sensitivity, budget: Budget, wanted: Wanted, known: Known, written: Written
) -> None:
    """Choose the widths of layers that lose least within a budget, for `run --layer-map`.

    The map goes to a file, or below the summary; alone where a format is named.
    """
    from typing import cast

    from app.commands.opening import open_desk_here
    from app.commands.showing import say, write_json
    from app.commands.showing_solved import describe_solved, tell_use
    from app.solved import describe_json
    from engine.errors import SpecError
    from engine.layer_maps.layer_map import FormatName
    from engine.layer_maps.reading import write_map
    from tasks.solve_requests import read_request
    from tasks.solving import solve_map

    if written.force and written.output is None:
        raise SpecError.at("--force", "goes with --output; name the file, or leave it out")
    values = {"sensitivity": sensitivity, "budget": budget, **vars(wanted), **_read_known(known)}
    with open_desk_here() as desk:
        found = solve_map(desk, read_request(values))
    text = write_map(found.layer_map, format_name=cast(FormatName, written.format_ or "bitdial"))
    if written.output is not None:
        from app.commands.layer_map import write_file

        write_file(written.output, text, force=written.force)
    if written.as_json:
        write_json(describe_json(found) | {"text": text})
        return
    is_alone = written.format_ is not None and written.output is None
    lines = () if is_alone else describe_solved(found)
    shown = (text.rstrip("\n"),) if written.output is None else tell_use(found, written.output)
    for line in (*lines, *shown):
        say(line)


def _read_known(known: Known) -> dict[str, Any]:
    from app.commands.map_words import read_widths

    widths = None if known.widths is None else read_widths("--widths", known.widths)
    bounds = {
        name: _read_bounds(option, getattr(known, name) or ())
        for name, option in (("pins", "--pin"), ("least", "--least"), ("most", "--most"))
    }
    return {**bounds, "widths": widths, "fuse": known.fuse}


def _read_bounds(option: str, words: Sequence[str]) -> dict[str, int]:
    """Read LAYER=BITS words; of two with one name the last holds."""
    from engine.errors import SpecError

    found: dict[str, int] = {}
    for word in words:
        name, separator, bits = word.rpartition("=")
        if not separator or not name.strip() or not bits.strip().isdecimal():
            raise SpecError.at(option, f"{word[:80]!r} is not LAYER=BITS, as '*.0.*=8'")
        found.pop(name.strip(), None)
        found[name.strip()] = int(bits)
    return found
