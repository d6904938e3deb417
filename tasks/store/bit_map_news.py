"""Whether anything is new on a bit map, as open tabs ask every two seconds. Start with `is_known`.

Neither its layers nor its history are read for that.
"""

from __future__ import annotations

from sqlalchemy import select

from tasks.errors import MapNotFound
from tasks.store.bit_map_checks import NEWS_SECONDS, has_news
from tasks.store.bit_map_tables import BitMap
from tasks.store.clock import later
from tasks.store.database import Database
from tasks.store.tables import Run


def is_known(database: Database, map_id: int, revision: int) -> bool:
    """Whether who saw a revision lately knows everything that a map's state tells.

    Not while its scores or a measurement of it are coming in, nor within half a minute after. Who
    asked longer ago than that, such as a tab that was hidden, cannot tell by the revision alone.

    Raises:
        MapNotFound: When there is no such map.
    """
    is_scoring = (Run.state == "running") | (Run.finished_at > later(-NEWS_SECONDS))
    query = (
        select(BitMap.revision, is_scoring)
        .outerjoin(Run, Run.id == BitMap.sensitivity_run_id)
        .where(BitMap.id == map_id)
    )
    with database.reading() as session:
        found = session.execute(query).one_or_none()
    if found is None:
        raise MapNotFound(f"there is no bit map {map_id}")
    newest, has_new_scores = found
    return newest == revision and not has_new_scores and not has_news(database, map_id)
