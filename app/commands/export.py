"""`bitdial export`: write a finished run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.run_numbers import RunId
from app.commands.submit import AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A new or empty folder; made where it is missing.")
]
Format = Annotated[
    str,
    typer.Option(
        "--format", help="peft: a base model for Transformers with a PEFT adapter beside it."
    ),
]
NumberFormat = Annotated[
    str,
    typer.Option("--dtype", help="Of the base model: auto, float32, bfloat16 or float16."),
]
STAGES = {
    "load": "loading the run's model",
    "export": "writing it",
    "check": "loading what was written and comparing its answers with the run's",
}
GRACE_SECONDS = 10.0


def export(
    run_id: RunId,
    folder: Folder,
    *,
    format_: Format = "peft",
    dtype: NumberFormat = "auto",
    as_json: AsJson = False,
) -> None:
    """Write a finished run as a folder that Transformers and PEFT load; verified by loading it."""
    import os
    import sys

    from app.commands.opening import open_desk_here
    from app.commands.showing import say, write_json
    from engine.errors import ExportError
    from engine.export.new_folder import check_new
    from tasks.exporting import get_exportable

    _check_words(format_, dtype)
    folder = Path(os.path.normpath(folder.absolute()))  # the adapter names its base by it
    with open_desk_here() as desk:
        get_exportable(desk, run_id)
    check_new(folder)
    exported = None
    for told in _iter_told(run_id, folder, dtype):
        if "problem" in told:
            _raise(told)
        if sentence := STAGES.get(told.get("stage", ""), told.get("note")):
            say(sentence, file=sys.stderr)
        exported = told.get("exported", exported)
    if exported is None:
        raise ExportError("the export broke off; nothing was written")
    if as_json:
        write_json({"id": run_id, "format": format_, **exported})
    else:
        _say_exported(run_id, exported)


def _check_words(format_: str, dtype: str) -> None:
    from typing import get_args

    from engine.errors import SpecError
    from engine.specs.model import Dtype
    from tasks.exporting import FORMATS

    for option, word, known in (
        ("--format", format_, FORMATS),
        ("--dtype", dtype, get_args(Dtype)),
    ):
        if word not in known:
            raise SpecError.at(option, f"{word!r} is not known; choose {' or '.join(known)}")


def _iter_told(run_id: int, folder: Path, dtype: str) -> Iterator[dict[str, Any]]:
    """Yield what the process that writes tells; it ends with us."""
    import json
    import os
    import subprocess
    import sys

    from engine.export.new_folder import sweep
    from tasks.processes import stop

    owner = str(os.getpid())
    words = ("-m", "tasks.export_process", owner, str(run_id), str(folder), dtype)
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout as lines:
            for line in lines:
                yield json.loads(line)
        process.wait()
    finally:
        stop(process, grace_seconds=GRACE_SECONDS)
        sweep(folder, process.pid)


def _raise(told: dict[str, Any]) -> None:
    """Raise what the process refused, or failed with."""
    from engine.errors import ExportError, SpecError

    if told["is_request"]:
        raise SpecError.at("", told["problem"])
    raise ExportError(told["problem"])


def _say_exported(run_id: int, exported: dict[str, Any]) -> None:
    from app.commands.showing import say
    from app.quantities import write_bytes

    size, dtype = write_bytes(exported["total_bytes"]), exported["dtype"]
    rounded = f"{exported['num_rounded']} rounded layers"
    say(f"run {run_id} is in {exported['folder']}: {rounded}, kept as {dtype}, {size}")
    if exported["adapter"]:
        ranks = ", ".join(map(str, exported["ranks"]))
        say(f"its adapter is in {exported['adapter']}: {exported['num_pairs']} pairs, rank {ranks}")
    say(f"loaded again, its logits differ by {exported['difference']:.1e} of the largest")
