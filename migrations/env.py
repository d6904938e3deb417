"""How Alembic reaches the database: a connection handed over, or the one of the settings.

Not imported by us; Alembic executes it. A handed-over connection is already in a transaction.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from tasks.settings import load_settings
from tasks.store.database import open_database
from tasks.store.tables import Base


def run_on(connection: Connection) -> None:
    """Run the asked migrations on a connection; SQLite alters tables by copying them."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def run() -> None:
    """Use the connection of `tasks.store.schema`, or open the database of the settings."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run_on(connection)
        return
    database = open_database(load_settings())
    with database.connecting() as opened:
        run_on(opened)
    database.dispose()


run()
