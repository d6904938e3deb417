"""Unfinished forms: kept with every change, found again by address, never overwritten unseen.

The rows are the store's (`tasks.store.drafts`); here is what a tab does with them. Start with
`keep_draft`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from app.text import new_experiment as text
from engine.errors import BitdialError
from tasks.errors import DraftConflict, DraftNotFound
from tasks.store.database import Database
from tasks.store.drafts import create_draft, get_draft, save_draft
from tasks.store.records import LARGEST_ID, DraftRecord

Nested = dict[str, Any]


@dataclass(frozen=True)
class TabState:
    """What one tab knows of its draft.

    Attributes:
        draft_id: The draft it edits; None before the first change.
        revision: The revision it last saw.
        tab: A random name of this tab, kept with the draft to know one's own saves.
    """

    draft_id: int | None
    revision: int
    tab: str


def new_tab() -> TabState:
    """Name a tab that has no draft yet."""
    return TabState(None, 0, secrets.token_hex(8))


def read_tab(payload: object) -> TabState:
    """Read the state a browser sent; anything unreadable is a new tab."""
    if not isinstance(payload, dict):
        return new_tab()
    tab, revision = payload.get("tab"), payload.get("revision")
    if not isinstance(tab, str) or not 0 < len(tab) <= 64 or not isinstance(revision, int):
        return new_tab()
    return TabState(read_id(payload.get("id")), revision, tab)


def read_id(value: object) -> int | None:
    """Read a row's number from an address or a browser; None where it cannot be one."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if 0 < number <= LARGEST_ID else None


def find_asked(database: Database, state: TabState) -> Nested:
    """Return what was asked in the tab's draft until now; nothing where there is none."""
    if state.draft_id is None:
        return {}
    try:
        return asked_of(get_draft(database, state.draft_id))
    except BitdialError:
        return {}


def asked_of(draft: DraftRecord) -> Nested:
    """Return the asked values of a draft."""
    asked = draft.values.get("asked")
    return dict(asked) if isinstance(asked, dict) else {}


def keep_draft(database: Database, state: TabState, asked: Nested) -> tuple[TabState, str]:
    """Save the form; where another tab was faster, go on as a new draft and lose nothing.

    Returns:
        What the tab knows from now on, and a sentence where something needs saying.
    """
    values = {"asked": asked, "tab": state.tab}
    try:
        if state.draft_id is None:
            return _know(state, create_draft(database, values)), ""
        return _know(state, save_draft(database, state.draft_id, values, state.revision)), ""
    except DraftNotFound:
        return _know(state, create_draft(database, values)), ""
    except DraftConflict:
        return _settle(database, state, values)


def _settle(database: Database, state: TabState, values: Nested) -> tuple[TabState, str]:
    """A save of this very tab that overtook this one is no conflict; another tab's is."""
    assert state.draft_id is not None
    newest = get_draft(database, state.draft_id)
    if newest.values.get("tab") == state.tab:
        try:
            saved = save_draft(database, state.draft_id, values, newest.revision)
            return _know(state, saved), ""
        except DraftConflict:
            pass
    forked = create_draft(database, values)
    return _know(state, forked), text.DRAFT_FORKED.format(old=state.draft_id, new=forked.id)


def _know(state: TabState, draft: DraftRecord) -> TabState:
    return replace(state, draft_id=draft.id, revision=draft.revision)
