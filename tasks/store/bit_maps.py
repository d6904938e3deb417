"""Bit maps as they are stored: states in the order they came, which of them holds, versions.

The log of states is append-only. `position` tells undo and redo apart: an edit goes to the next
position and makes it the last one that can be reached (`top`), undo goes to the one before. A
position written anew hides the state that was there. What content means, and who may change it, is
`tasks.bit_map`'s; versions and measurements are `bit_map_versions`' and `bit_map_checks`'. Start
with `changing_map`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from tasks.errors import MapNotFound, RunNotFound
from tasks.store.bit_map_records import (
    BitMapRecord,
    ChangeKind,
    MapChange,
    MapItem,
    NewBitMap,
    Snapshot,
    StateRecord,
)
from tasks.store.bit_map_sessions import count_done
from tasks.store.bit_map_tables import BitMap, BitMapState
from tasks.store.clock import now
from tasks.store.database import Database
from tasks.store.records import to_record
from tasks.store.tables import Run

MAX_STATES = 500
"""How many states are kept; twice as many while nothing but undo and redo goes through them."""
MAX_LISTED = 200
OPENED_BY = ""
"""The client of a map's first state, which is nobody's edit."""


class OpenMap:
    """A map within one writing transaction, which nobody else changes until it ends."""

    def __init__(self, session: Session, row: BitMap) -> None:
        self._session = session
        self._row = row

    @property
    def name(self) -> str:
        """What it is called."""
        return self._row.name

    @property
    def revision(self) -> int:
        """Of its newest state."""
        return self._row.revision

    @property
    def position(self) -> int:
        """Of the state that holds."""
        return self._row.position

    def get_newest(self) -> StateRecord:
        """Return the state that holds."""
        found = self._session.get_one(BitMapState, (self._row.id, self._row.revision))
        return to_record(StateRecord, found)

    def find_neighbor(self, step: int) -> StateRecord | None:
        """Return the state one step back (-1) or forward (1); None where there is none."""
        position = self._row.position + step
        if position > self._row.top:
            return None
        return _find_at(self._session, self._row.id, position)

    def find_author(self, position: int) -> str | None:
        """Return whose edit made the state at a position; None where that is forgotten."""
        query = (
            select(BitMapState.client)
            .where(
                BitMapState.map_id == self._row.id,
                BitMapState.position == position,
                BitMapState.is_step,
            )
            .order_by(BitMapState.revision.desc())
        )
        return self._session.scalars(query.limit(1)).first()

    def list_changes(self, seen: int) -> tuple[MapChange, ...]:
        """Return every change since a revision that is still kept, oldest first.

        A name and a version leave the position as it is; a version is nobody's.
        """
        table = BitMapState
        query = (
            select(table.revision, table.client, table.is_step, table.position)
            .where(BitMapState.map_id == self._row.id, BitMapState.revision >= seen)
            .order_by(BitMapState.revision)
        )
        found, stood = [], None
        for revision, client, is_step, position in self._session.execute(query):
            kind: ChangeKind = "step" if is_step else "move"
            if not is_step and position == stood:
                kind = "version" if client == OPENED_BY else "name"
            stood = position
            if revision > seen:
                found.append(MapChange(revision, client, kind))
        return tuple(found)

    def list_contents(self, seen: int) -> dict[int, dict[str, Any]]:
        """Return the content of every kept revision from `seen` on."""
        where = (BitMapState.map_id == self._row.id, BitMapState.revision >= seen)
        query = select(BitMapState.revision, BitMapState.content).where(*where)
        return {row.revision: row.content for row in self._session.execute(query)}

    def has_edits_of(self, client: str) -> bool:
        """Whether an edit of this client is among the kept states."""
        table = BitMapState
        where = (table.map_id == self._row.id, table.client == client, table.is_step)
        query = select(table.revision).where(*where)
        return self._session.scalars(query.limit(1)).first() is not None

    def count_done(self, session: str, *, first: int, count: int) -> int:
        """Return how many of a page's edits, numbered from `first` on, were done before."""
        return count_done(self._session, self._row.id, name=session, first=first, count=count)

    def add_step(self, client: str, content: dict[str, Any]) -> None:
        """Append an edit; what was undone before can no longer be redone."""
        position = self._row.position + 1
        self._row.top = position
        self._append(client, content, position=position, is_step=True)

    def move_to(self, client: str, state: StateRecord) -> None:
        """Append what stood at another position, as undo and redo do."""
        self._append(client, state.content, position=state.position, is_step=False)

    def rename(self, client: str, name: str) -> None:
        """Change the name."""
        self._row.name = name
        self.touch(client)

    def touch(self, client: str) -> None:
        """Begin a revision with the same content, so that other tabs look again."""
        newest = self.get_newest()
        self._append(client, newest.content, position=newest.position, is_step=False)

    def _append(
        self, client: str, content: dict[str, Any], *, position: int, is_step: bool
    ) -> None:
        row = self._row
        row.revision += 1
        row.position = position
        row.updated_at = now()
        state = BitMapState(
            map_id=row.id,
            revision=row.revision,
            position=position,
            client=client,
            is_step=is_step,
            content=content,
        )
        self._session.add(state)
        self._session.flush()
        too_old = row.revision - (MAX_STATES if is_step else 2 * MAX_STATES)
        if too_old > 0:
            where = (BitMapState.map_id == row.id, BitMapState.revision <= too_old)
            self._session.execute(delete(BitMapState).where(*where))


@contextmanager
def changing_map(database: Database, map_id: int) -> Iterator[OpenMap]:
    """Open a map for one change; kept at the end, or nothing of it on any exception.

    Raises:
        MapNotFound: When there is no such map.
    """
    with database.writing() as session:
        yield lock_map(session, map_id)


def lock_map(session: Session, map_id: int) -> OpenMap:
    """Keep a map as it is for everybody else until this transaction ends.

    Raises:
        MapNotFound: When there is no such map.
    """
    query = select(BitMap).where(BitMap.id == map_id).with_for_update()
    row = session.scalars(query).one_or_none()
    if row is None:
        raise MapNotFound(f"there is no bit map {map_id}")
    return OpenMap(session, row)


def keep_run(session: Session, run_id: int | None) -> bool:
    """Keep a run from being deleted until this transaction ends; False where it is gone."""
    query = select(Run.id).where(Run.id == run_id).with_for_update(read=True, key_share=True)
    return session.scalars(query).first() is not None


def create_map(database: Database, new: NewBitMap) -> BitMapRecord:
    """Keep a new map; its first state has revision 1 and position 0.

    Raises:
        RunNotFound: When the run of its scores was deleted meanwhile.
    """
    scored = new.sensitivity_run_id
    with database.writing() as session:
        if scored is not None and not keep_run(session, scored):
            raise RunNotFound(f"there is no run {scored}")
        row = BitMap(
            name=new.name,
            spec=new.spec,
            shapes=new.shapes,
            sensitivity_run_id=new.sensitivity_run_id,
            metric=new.metric,
            revision=1,
            position=0,
            top=0,
        )
        session.add(row)
        session.flush()
        state = BitMapState(
            map_id=row.id,
            revision=1,
            position=0,
            client=OPENED_BY,
            is_step=True,
            content=new.content,
        )
        session.add(state)
        session.flush()
        session.refresh(row)
        return to_record(BitMapRecord, row)


def get_map(database: Database, map_id: int) -> BitMapRecord:
    """Return a map without its states.

    Raises:
        MapNotFound: When there is none with this id.
    """
    with database.reading() as session:
        return to_record(BitMapRecord, _get_row(session, map_id))


def get_snapshot(database: Database, map_id: int) -> Snapshot:
    """Return a map and the state that holds.

    Raises:
        MapNotFound: When there is none with this id.
    """
    with database.reading() as session:
        row = _get_row(session, map_id)
        state = session.get_one(BitMapState, (map_id, row.revision))
        return Snapshot(
            to_record(BitMapRecord, row),
            to_record(StateRecord, state),
            can_undo=_is_kept(session, map_id, row.position - 1),
            can_redo=row.position < row.top and _is_kept(session, map_id, row.position + 1),
        )


def list_maps(
    database: Database,
    *,
    model: str | None = None,
    sensitivity: int | None = None,
    before_id: int | None = None,
    limit: int = MAX_LISTED,
) -> tuple[MapItem, ...]:
    """Return maps, the one changed last first: of a model, of a run's scores, before another."""
    source = BitMap.spec["model"]["source"].as_string()
    order = (BitMap.updated_at, BitMap.id)
    query = select(
        BitMap.id, BitMap.name, source.label("model"), BitMap.revision,
        BitMap.sensitivity_run_id, BitMap.created_at, BitMap.updated_at,
    )  # fmt: skip
    if model is not None:
        query = query.where(source == model)
    if sensitivity is not None:
        query = query.where(BitMap.sensitivity_run_id == sensitivity)
    if before_id is not None:
        changed = select(BitMap.updated_at).where(BitMap.id == before_id).scalar_subquery()
        query = query.where(tuple_(*order) < tuple_(changed, before_id))
    query = query.order_by(*(each.desc() for each in order)).limit(limit)
    with database.reading() as session:
        return tuple(MapItem(**row) for row in session.execute(query).mappings())


def delete_map(database: Database, map_id: int) -> None:
    """Remove a map with its states and versions.

    What its measurements taught stays with the scores.

    Raises:
        MapNotFound: When there is none with this id.
    """
    with database.writing() as session:
        gone = delete(BitMap).where(BitMap.id == map_id).returning(BitMap.id)
        removed = session.execute(gone).first()
        if removed is None:
            raise MapNotFound(f"there is no bit map {map_id}")


def _get_row(session: Session, map_id: int) -> BitMap:
    row = session.get(BitMap, map_id)
    if row is None:
        raise MapNotFound(f"there is no bit map {map_id}")
    return row


def _is_kept(session: Session, map_id: int, position: int) -> bool:
    """Whether any state at a position is kept."""
    query = select(BitMapState.revision).where(
        BitMapState.map_id == map_id, BitMapState.position == position
    )
    return session.scalars(query.limit(1)).first() is not None


def _find_at(session: Session, map_id: int, position: int) -> StateRecord | None:
    """Return the newest state at a position."""
    query = (
        select(BitMapState)
        .where(BitMapState.map_id == map_id, BitMapState.position == position)
        .order_by(BitMapState.revision.desc())
        .limit(1)
    )
    row = session.scalars(query).first()
    return None if row is None else to_record(StateRecord, row)
