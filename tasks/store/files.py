"""Files of runs, as recorded when they were complete. Written by `recording`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from tasks.store.database import Database
from tasks.store.records import FileRecord, to_record
from tasks.store.tables import File


def list_files(database: Database, run_id: int) -> tuple[FileRecord, ...]:
    """Return the files of a run, oldest first."""
    query = select(File).where(File.run_id == run_id).order_by(File.id)
    with database.reading() as session:
        return tuple(to_record(FileRecord, row) for row in session.scalars(query))


def find_checkpoint(database: Database, run_id: int, *, data_folder: Path) -> Path | None:
    """Return the newest recorded checkpoint of a run that is still there, or None."""
    return find_newest(database, run_id, "checkpoint", data_folder=data_folder)


def find_newest(
    database: Database, run_id: int, kind: str, *, data_folder: Path, name: str = ""
) -> Path | None:
    """Return the newest file of a kind, and of a name if given, that is still there, or None."""
    for record in reversed(list_files(database, run_id)):
        path = data_folder / record.path
        if record.kind == kind and name in ("", path.name) and path.exists():
            return path
    return None
