"""The command `bitdial`: its verbs, and the one place where errors become exit codes.

0 is done, 2 a request that cannot be carried out, 1 a failure. What a verb does stands in
`app.commands`. Start with `main`.
"""

from __future__ import annotations

import sys

import typer

from app.commands import (
    demo,
    doctor,
    evaluate,
    export,
    layer_map,
    leaderboard,
    parts,
    run,
    runs,
    search,
    sensitivity,
    solve,
    submit,
    up,
)
from engine.errors import BitdialError, SpecError

EXIT_FAILED = 1
EXIT_BAD_REQUEST = 2

app = typer.Typer(
    name="bitdial",
    help="The workbench for compressing language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(demo.demo)
app.command()(run.run)
app.command()(submit.submit)
app.command()(search.search)
app.command()(evaluate.evaluate)
app.command()(sensitivity.sensitivity)
app.command()(solve.solve)
app.command()(export.export)
app.command("map")(layer_map.layer_map)
app.add_typer(runs.app, name="runs")
app.command()(leaderboard.leaderboard)
app.command()(doctor.doctor)
app.add_typer(parts.database_app, name="db")
app.command()(parts.worker)
app.command()(parts.web)


def main() -> None:
    """Run the command line; never shows a traceback for what a person can mend."""
    try:
        app()
    except SpecError as error:
        _complain(*map(str, error.problems))
        sys.exit(EXIT_BAD_REQUEST)
    except BitdialError as error:
        _complain(str(error))
        is_asked_wrong = error.kind == "spec" or bool(error.field)
        sys.exit(EXIT_BAD_REQUEST if is_asked_wrong else EXIT_FAILED)
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(EXIT_FAILED)


def _complain(*sentences: str) -> None:
    for sentence in sentences:
        sys.stderr.write(f"{sentence}\n")
