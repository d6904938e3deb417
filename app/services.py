"""What every page, figure source and REST route is handed: settings, store and the door to runs.

No business is done here. Start with `Services`; `open_services` builds one for a process.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.settings import Settings
from tasks.store.database import Database
from tasks.submit import Desk, open_desk


@dataclass(frozen=True)
class Services:
    """The things a page may use.

    Attributes:
        settings: Where this installation keeps its data and listens.
        database: The store; reading pages call `tasks.store` functions with it.
        desk: What `tasks.submit` needs to submit, cancel, retry, clone and preview.
    """

    settings: Settings
    database: Database
    desk: Desk


def open_services(settings: Settings) -> Services:
    """Open the store and the desk of these settings; the caller disposes of `database`."""
    desk = open_desk(settings)
    return Services(settings=settings, database=desk.database, desk=desk)
