"""Whether this web process can do its work, for `/healthz`. Start with `check_health`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.services import Services
from engine.errors import BitdialError
from tasks.store.schema import check_current


@dataclass(frozen=True)
class Health:
    """What `/healthz` answers.

    Attributes:
        database: "ok", or a sentence that says what is wrong.
        migrations: "current", or a sentence that says what to do.
        version: Bitdial's version.
    """

    database: str
    migrations: str
    version: str

    @property
    def is_well(self) -> bool:
        """True where everything is as it should be."""
        return self.database == "ok" and self.migrations == "current"


def check_health(services: Services) -> Health:
    """Ask the store whether it answers and whether its tables are those of this version."""
    try:
        with services.database.reading() as session:
            session.execute(text("SELECT 1"))
    except (SQLAlchemyError, BitdialError, OSError) as error:
        sentence = f"the database does not answer: {str(error).splitlines()[0]}"
        return Health(database=sentence, migrations="unknown", version=read_version())
    try:
        check_current(services.database)
    except (SQLAlchemyError, BitdialError) as error:
        return Health(database="ok", migrations=str(error), version=read_version())
    return Health(database="ok", migrations="current", version=read_version())


def read_version() -> str:
    """Return Bitdial's version; "development" where it runs from a folder that is not installed."""
    try:
        return version("bitdial")
    except PackageNotFoundError:
        return "development"
