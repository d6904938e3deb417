"""Promises about unfinished forms."""

from __future__ import annotations

import pytest

from app.forms.drafts import TabState, asked_of, find_asked, keep_draft, new_tab, read_id, read_tab
from app.services import Services
from tasks.store.drafts import get_draft


def test_a_draft_is_made_with_the_first_change_and_then_kept(services: Services) -> None:
    """One form is one draft whose revision grows."""
    first, _ = keep_draft(services.database, new_tab(), {"name": "a"})
    second, note = keep_draft(services.database, first, {"name": "b"})
    assert (second.draft_id, second.revision, note) == (first.draft_id, first.revision + 1, "")
    assert find_asked(services.database, second) == {"name": "b"}


def test_two_tabs_lose_nothing(services: Services) -> None:
    """The slower tab goes on as a new draft, says so, and both versions are there."""
    mine, _ = keep_draft(services.database, new_tab(), {"name": "start"})
    theirs = TabState(mine.draft_id, mine.revision, "another tab")
    keep_draft(services.database, theirs, {"name": "theirs"})
    forked, note = keep_draft(services.database, mine, {"name": "mine"})
    assert mine.draft_id is not None
    assert forked.draft_id is not None
    assert forked.draft_id != mine.draft_id
    assert str(mine.draft_id) in note
    assert str(forked.draft_id) in note
    kept = [asked_of(get_draft(services.database, i)) for i in (mine.draft_id, forked.draft_id)]
    assert kept == [{"name": "theirs"}, {"name": "mine"}]


def test_a_tab_does_not_conflict_with_itself(services: Services) -> None:
    """A save that left before the last answer came is no other tab's."""
    seen, _ = keep_draft(services.database, new_tab(), {"name": "a"})
    keep_draft(services.database, seen, {"name": "b"})
    late, note = keep_draft(services.database, seen, {"name": "c"})
    assert (late.draft_id, note) == (seen.draft_id, "")
    assert find_asked(services.database, late) == {"name": "c"}


def test_a_deleted_draft_comes_back_as_a_new_one(services: Services) -> None:
    """A draft that is gone does not stop the form."""
    state, note = keep_draft(services.database, TabState(99, 3, "tab"), {"name": "a"})
    assert (find_asked(services.database, state), note) == ({"name": "a"}, "")


@pytest.mark.parametrize("payload", [None, "x", {}, {"tab": 3}, {"tab": "", "revision": 1}])
def test_what_cannot_be_read_is_a_new_tab(payload: object) -> None:
    """A browser may send anything."""
    assert read_tab(payload).draft_id is None


@pytest.mark.parametrize("value", ["x", "-1", "0", str(2**40), None, "1.5"])
def test_ids_are_numbers_of_rows(value: object) -> None:
    """An address with another id names nothing."""
    assert read_id(value) is None
