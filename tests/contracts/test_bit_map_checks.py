"""What measuring a bit map promises on either database: one run at most, none for a deleted map."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.bit_map import checking, opening
from tasks.bit_map.checking import verify
from tasks.bit_map.opening import open_map
from tasks.bit_map.viewing import view_state
from tasks.desk import Desk
from tasks.errors import MapNotFound, RunNotFound
from tasks.settings import Settings
from tasks.store import bit_map_checks, bit_maps
from tasks.store.bit_maps import delete_map, list_maps
from tasks.store.database import Database
from tasks.store.run_changes import delete_run
from tasks.store.runs import list_runs
from tests.bit_map_samples import BitMapSamples, add_bit_map


@pytest.fixture
def desk(settings: Settings, database: Database) -> Desk:
    """A desk on the empty store."""
    return Desk(settings, database)


@pytest.fixture
def scored(desk: Desk) -> BitMapSamples:
    """A scored model of two blocks."""
    return add_bit_map(desk, num_blocks=2)


def test_four_requests_at_once_queue_one_run(desk: Desk, scored: BitMapSamples) -> None:
    """And its baseline, once."""
    map_id = open_map(desk, {"sensitivity": scored.sensitivity}).record.id
    barrier = threading.Barrier(4)

    def ask(_: int) -> int:
        barrier.wait()
        return verify(desk, map_id)

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(ask, range(4)))
    assert [check.run for check in view_state(desk, map_id).checks] == list(found)
    assert len(list_runs(desk.database)) == 3


def test_nothing_is_queued_for_a_map_deleted_meanwhile(
    desk: Desk, scored: BitMapSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as a map that is not there, and no run stays behind."""
    map_id = open_map(desk, {"sensitivity": scored.sensitivity}).record.id
    queue_check = bit_map_checks.queue_check

    def delete_first(database: Database, *values: Any, **others: Any) -> Any:
        delete_map(database, map_id)
        return queue_check(database, *values, **others)

    monkeypatch.setattr(checking, "queue_check", delete_first)
    with pytest.raises(MapNotFound, match=f"there is no bit map {map_id}"):
        verify(desk, map_id)
    assert [run.id for run in list_runs(desk.database)] == [scored.sensitivity]


def test_scores_deleted_meanwhile_leave_the_measurement(
    desk: Desk, scored: BitMapSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is queued without them."""
    map_id = open_map(desk, {"sensitivity": scored.sensitivity}).record.id
    queue_check = bit_map_checks.queue_check

    def delete_first(database: Database, *values: Any, **others: Any) -> Any:
        delete_run(database, scored.sensitivity)
        return queue_check(database, *values, **others)

    monkeypatch.setattr(checking, "queue_check", delete_first)
    assert [each.run for each in view_state(desk, map_id).checks] == []
    run_id = verify(desk, map_id)
    assert [each.run for each in view_state(desk, map_id).checks] == [run_id]


def test_no_map_comes_of_a_run_deleted_meanwhile(
    desk: Desk, scored: BitMapSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as a run that is not there."""
    create_map = bit_maps.create_map

    def delete_first(database: Database, new: Any) -> Any:
        delete_run(database, scored.sensitivity)
        return create_map(database, new)

    monkeypatch.setattr(opening, "create_map", delete_first)
    with pytest.raises(RunNotFound, match=f"there is no run {scored.sensitivity}"):
        open_map(desk, {"sensitivity": scored.sensitivity})
    assert list_maps(desk.database) == ()
