"""`bitdial up`: web, worker and store on this machine until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

Host = Annotated[str | None, typer.Option(help="Address to listen on; BITDIAL_HOST by default.")]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; BITDIAL_PORT by default.", min=1, max=65535)
]


def up(*, host: Host = None, port: Port = None) -> None:
    """Start everything on this machine: web pages, a worker and, if none is set, a broker."""
    from app.commands.opening import load_settings_for
    from app.commands.serving import check_address, everything_up, list_parts, wait_until_healthy
    from app.commands.showing import say

    settings = load_settings_for(host=host, port=port)
    check_address(settings)
    with everything_up(settings, parts=list_parts(settings, with_web=True)) as running:
        if wait_until_healthy(settings, running):
            say(f"Bitdial is up at http://{settings.host}:{settings.port} (Ctrl-C ends it)")
            say(f"data and logs are in {settings.data_folder}")
            running.wait()
        say("stopping")
