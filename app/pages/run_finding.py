"""Which run the address of a page names, or why there is none. Start with `find_asked_run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.services import Services
from app.text import run as text
from tasks.store import runs
from tasks.store.records import LARGEST_ID, RunRecord


@dataclass(frozen=True)
class Missing:
    """Why there is no run to show."""

    title: str
    hint: str


def find_asked_run(services: Services, query: Mapping[str, str]) -> RunRecord | Missing:
    """Return the run that the address names, or why there is none."""
    given = (query.get("id") or "").strip()
    if not given:
        return Missing(text.NO_ID, text.NO_ID_HINT)
    if not (given.isascii() and given.isdigit() and 0 < int(given[:12]) <= LARGEST_ID):
        return Missing(text.BAD_ID.format(given=given[:40]), text.NO_ID_HINT)
    run = runs.find_run(services.database, int(given))
    return run or Missing(text.UNKNOWN.format(given=given), text.UNKNOWN_HINT)
