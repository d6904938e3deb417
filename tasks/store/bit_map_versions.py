"""States of bit maps that were given a name. Start with `add_version`."""

from __future__ import annotations

from sqlalchemy import func, select

from engine.errors import SpecError
from tasks.store.bit_map_records import VersionRecord
from tasks.store.bit_map_tables import BitMapVersion
from tasks.store.bit_maps import OPENED_BY, lock_map
from tasks.store.database import Database
from tasks.store.records import to_record

MAX_VERSIONS = 100


def add_version(database: Database, map_id: int, name: str) -> VersionRecord:
    """Give the state that holds a name; versions are counted from 1.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: At "name", when it has as many as it may: every answer to an edit names them all.
    """
    with database.writing() as session:
        opened = lock_map(session, map_id)
        newest = select(func.max(BitMapVersion.number)).where(BitMapVersion.map_id == map_id)
        number = (session.scalar(newest) or 0) + 1
        if number > MAX_VERSIONS:
            raise SpecError.at(
                "name", f"a map keeps {MAX_VERSIONS} versions; open another one from a file of it"
            )
        state = opened.get_newest()
        opened.touch(OPENED_BY)
        version = BitMapVersion(
            map_id=map_id,
            number=number,
            name=name,
            content=state.content,
        )
        session.add(version)
        session.flush()
        session.refresh(version)
        return to_record(VersionRecord, version)


def list_versions(database: Database, map_id: int) -> tuple[VersionRecord, ...]:
    """Return the versions of a map, oldest first."""
    query = select(BitMapVersion).where(BitMapVersion.map_id == map_id)
    with database.reading() as session:
        found = session.scalars(query.order_by(BitMapVersion.number))
        return tuple(to_record(VersionRecord, row) for row in found)
