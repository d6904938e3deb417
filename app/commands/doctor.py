"""`bitdial doctor`: is this machine fit, and if not, what to do."""

from __future__ import annotations

import typer

from app.commands.submit import AsJson


def doctor(*, as_json: AsJson = False) -> None:
    """Look at Python, libraries, devices, disk, store, broker, model and data."""
    from app.commands.checks import run_checks
    from app.commands.showing import print_checks, write_json

    checks = run_checks()
    if as_json:
        write_json(checks)
    else:
        print_checks(checks)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
