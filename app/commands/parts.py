"""One piece at a time, for installations of several machines: `db upgrade`, `worker`, `web`."""

from __future__ import annotations

import os
import sys

import typer

from app.commands.up import Host, Port

database_app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@database_app.callback()
def database() -> None:
    """Look after the database."""


@database_app.command()
def upgrade() -> None:
    """Bring the database to the tables this version needs."""
    from app.commands.showing import say
    from tasks.settings import load_settings
    from tasks.store.schema import upgrade as migrate

    migrate(load_settings())
    say("the database is up to date")


def worker() -> None:
    """Carry out queued runs, one at a time, until terminated."""
    os.execv(sys.executable, [sys.executable, "-m", "tasks.worker"])


def web(*, host: Host = None, port: Port = None) -> None:
    """Serve the pages and the API until terminated; runs are carried out by workers."""
    from app.commands.opening import load_settings_for
    from app.server import main

    raise typer.Exit(main(load_settings_for(host=host, port=port)))
