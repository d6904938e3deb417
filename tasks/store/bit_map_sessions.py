"""Which edits of a page were done, so that sending one again does it once.

A page numbers its edits from 1 up, in the order in which they were made, under a word of its own.
It may send them again, alone or with later ones, where it does not know whether they arrived; what
comes late, after a later one, is out of date. Start with `count_done`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from tasks.store.clock import later, now
from tasks.store.tables import Base

KEPT_SECONDS = 30 * 24 * 3600
"""How long after its last edit a page may send one again: longer than browsers keep pages."""


class BitMapSession(Base):
    """The highest number of a page's edits that was done."""

    __tablename__ = "bit_map_sessions"

    map_id: Mapped[int] = mapped_column(
        ForeignKey("bit_maps.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    sequence: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now())


def count_done(session: Session, map_id: int, *, name: str, first: int, count: int) -> int:
    """Return how many of a page's edits were done before, and note that all of them are.

    Args:
        session: The transaction that does the others; the map is locked in it.
        map_id: The map.
        name: The page's word.
        first: Number of the first edit.
        count: How many there are.
    """
    last = first + count - 1
    found = session.get(BitMapSession, (map_id, name))
    if found is None:
        too_old = (BitMapSession.map_id == map_id, BitMapSession.updated_at < later(-KEPT_SECONDS))
        session.execute(delete(BitMapSession).where(*too_old))
        session.add(BitMapSession(map_id=map_id, name=name, sequence=last))
        return 0
    num_done = min(max(found.sequence - first + 1, 0), count)
    found.sequence = max(found.sequence, last)
    found.updated_at = now()
    return num_done
