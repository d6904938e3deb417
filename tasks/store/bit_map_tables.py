"""The tables of bit maps, on the same ground as all others; rows never leave the store.

A state is never changed once it is written: going back in a map's history writes what was there
again. Start with `BitMap`. A change here needs a revision in `migrations/versions`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.clock import now
from tasks.store.tables import Base


def _map_key() -> Any:
    return mapped_column(ForeignKey("bit_maps.id", ondelete="CASCADE"), primary_key=True)


class BitMap(Base):
    """A layer map that people edit; fields as in `BitMapRecord`."""

    __tablename__ = "bit_maps"
    __table_args__ = (Index(None, "sensitivity_run_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    shapes: Mapped[str]
    sensitivity_run_id: Mapped[int | None] = mapped_column(
        ForeignKey("runs.id", ondelete="SET NULL")
    )
    metric: Mapped[str | None] = mapped_column(String(80))
    revision: Mapped[int]
    position: Mapped[int]
    top: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime] = mapped_column(default=now())


class BitMapState(Base):
    """What a map was at a revision, by whom; `is_step` where an edit made it, not undo or redo."""

    __tablename__ = "bit_map_states"
    __table_args__ = (Index(None, "map_id", "position"),)

    map_id: Mapped[int] = _map_key()
    revision: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int]
    client: Mapped[str] = mapped_column(String(64))
    is_step: Mapped[bool]
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now())


class BitMapVersion(Base):
    """A state that was given a name."""

    __tablename__ = "bit_map_versions"

    map_id: Mapped[int] = _map_key()
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now())


class BitMapCheck(Base):
    """A run that measures a map, and what was predicted of it when it was queued.

    It outlives the map: what it teaches belongs to the scores it was predicted from.
    """

    __tablename__ = "bit_map_checks"
    __table_args__ = (Index(None, "map_id"), Index(None, "sensitivity_run_id"))

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    map_id: Mapped[int | None] = mapped_column(ForeignKey("bit_maps.id", ondelete="SET NULL"))
    sensitivity_run_id: Mapped[int | None] = mapped_column(
        ForeignKey("runs.id", ondelete="SET NULL")
    )
    revision: Mapped[int]
    content_hash: Mapped[str] = mapped_column(String(64))
    effective_bits: Mapped[float]
    metric: Mapped[str | None] = mapped_column(String(80))
    predicted: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    scored_on: Mapped[str | None]
    obstacle: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now())
