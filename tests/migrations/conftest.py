"""Both databases, empty."""

from tests.contracts.conftest import postgres_address, postgres_server, settings

__all__ = ["postgres_address", "postgres_server", "settings"]
