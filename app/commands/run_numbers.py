"""A run's number as a word of the command line, within what the database can hold.

Start with `RunId`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.store.records import LARGEST_ID

RunId = Annotated[
    int, typer.Argument(metavar="RUN", help="Number of the run.", min=1, max=LARGEST_ID)
]
Parent = Annotated[
    int, typer.Argument(metavar="RUN", help="Number of the training run.", min=1, max=LARGEST_ID)
]
Resume = Annotated[
    int | None,
    typer.Option(
        metavar="RUN",
        min=1,
        max=LARGEST_ID,
        help="Go on with a failed or cancelled run from its last checkpoint, under its number.",
    ),
]
