"""The database's own time, so that machines with wrong clocks agree on leases.

`now()` and `later(seconds)` are SQL expressions. Both databases give UTC to the millisecond.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import expression
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware UTC datetime; text in SQLite, timestamptz in Postgres."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand the database UTC; SQLite without the zone."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that what came back is UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Later(expression.ColumnElement[datetime]):
    """The database's time, some seconds from now (negative: ago)."""

    type = UtcTime()
    inherit_cache = False

    def __init__(self, seconds: float) -> None:
        self.seconds = round(float(seconds), 3)


def now() -> Later:
    """Return the expression for the database's time."""
    return Later(0)


def later(seconds: float) -> Later:
    """Return the expression for the database's time, `seconds` from now."""
    return Later(seconds)


@compiles(Later, "sqlite")
def _compile_sqlite(element: Later, compiler: Any, **options: Any) -> str:
    del compiler, options
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{element.seconds:+.3f} seconds')"


@compiles(Later, "postgresql")
def _compile_postgresql(element: Later, compiler: Any, **options: Any) -> str:
    del compiler, options
    return f"(clock_timestamp() + interval '{element.seconds:.3f} seconds')"
