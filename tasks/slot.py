"""A slot: one place on one machine where one run at a time is worked on.

A worker holds its slot for life; within it, the Celery job and the worker's own patrol both come to
work, and a second lock lets one of them in. Start with `work`.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.desk import Desk
from tasks.errors import SlotTaken
from tasks.lease import claim_next
from tasks.settings import Settings
from tasks.supervisor import supervise

MAX_SLOTS = 64


def make_owner(slot: int) -> str:
    """Return what a slot of this machine is called in the store."""
    return f"{socket.gethostname()}/{slot}"


@contextmanager
def holding_slot(settings: Settings, slot: int | None) -> Iterator[str]:
    """Hold a slot of this machine while inside, the first free one where None; gives its owner.

    Raises:
        SlotTaken: When another worker of this data folder holds it.
    """
    for candidate in range(MAX_SLOTS) if slot is None else (slot,):
        owner = make_owner(candidate)
        with _locking(_lock_path(settings, owner, "worker")) as is_free:
            if is_free:
                yield owner
                return
    name = f"slot {slot}" if slot is not None else f"each of the {MAX_SLOTS} slots"
    raise SlotTaken(f"{name} of this machine is served by another worker; choose another --slot")


def work(desk: Desk, owner: str, *, module: str, leaving: threading.Event) -> int:
    """Claim and supervise until nothing is queued; nothing where the slot is at work already.

    Returns:
        How many attempts were carried out.
    """
    count = 0
    with _locking(_lock_path(desk.settings, owner, "work")) as is_free:
        while is_free and not leaving.is_set():
            claim = claim_next(desk.database, desk.settings, owner)
            if claim is None:
                break
            supervise(desk, claim, module=module, leaving=leaving)
            count += 1
    return count


def _lock_path(settings: Settings, owner: str, purpose: str) -> Path:
    return settings.data_folder / "slots" / f"{re.sub(r'[^A-Za-z0-9_.-]', '-', owner)}.{purpose}"


@contextmanager
def _locking(path: Path) -> Iterator[bool]:
    """Try to lock a file while inside; the kernel frees it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
