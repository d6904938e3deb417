"""Starting and watching the process of one attempt.

The process writes its own end; the supervisor renews the lease, makes a cancel firm, and reports a
process that died without a word. It ends the process itself when the lease could not be renewed, or
when it is interrupted; the run then goes back to the queue. Start with `supervise`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.desk import Desk
from tasks.errors import StoreUnavailable
from tasks.lease import Claim, Pulse, find_pulse, give_back, renew
from tasks.processes import signal_group, stop
from tasks.recovery import report_death
from tasks.store.runs import find_run

ATTEMPT_MODULE = "tasks.attempt"
OUTPUT_FILE = "output.log"
LOOK_SECONDS = 0.5
POLL_SECONDS = 0.1
STOP_SECONDS = 4.0
MAX_SILENCE = 0.6  # share of the lease; the rest is for ending the process before the lease does
MAX_OUTPUT_BYTES = 8_000


def supervise(
    desk: Desk, claim: Claim, *, module: str = ATTEMPT_MODULE, leaving: threading.Event
) -> None:
    """Carry a claimed run out in a process of its own; returns when that has ended.

    Args:
        desk: Settings and database.
        claim: What to carry out.
        module: Module run as the attempt's process.
        leaving: Set when this worker shuts down; the run then goes back to the queue.
    """
    try:
        child = _start(desk, claim, module)
    except OSError as error:
        why = f"its process could not be started: {error.strerror or error}"
        report_death(desk.database, desk.settings, claim, why=why, traceback=None)
        return
    watch = _Watch(desk, claim, child, renewed_at=time.monotonic())
    try:
        while child.poll() is None and watch.look() and not leaving.is_set():
            with suppress(subprocess.TimeoutExpired):
                child.wait(POLL_SECONDS)
        if child.poll() is not None:
            _settle(desk, claim, child.returncode)
    finally:
        if child.poll() is None:
            stop(child, grace_seconds=watch.grace_seconds)
        with suppress(StoreUnavailable):
            give_back(desk.database, claim, outcome="returned")


@dataclass
class _Watch:
    """What the supervisor knows of a living process; one per attempt."""

    desk: Desk
    claim: Claim
    child: subprocess.Popen[bytes]
    renewed_at: float
    looked_at: float = 0.0
    cancel_seen_at: float | None = None
    grace_seconds: float = STOP_SECONDS

    def look(self) -> bool:
        """Renew, look for a cancel, make it firm; False when the process must end."""
        present = time.monotonic()
        if present - self.looked_at >= LOOK_SECONDS:
            self.looked_at = present
            try:
                pulse = self._read_pulse(present)
            except StoreUnavailable:
                return present - self.renewed_at < MAX_SILENCE * self.desk.settings.lease_seconds
            if pulse is None:
                return self._has_ended_itself()
            if pulse.control == "cancel" and self.cancel_seen_at is None:
                self.cancel_seen_at = present
        if self.cancel_seen_at is not None:
            self._insist(present - self.cancel_seen_at)
        return True

    def _read_pulse(self, present: float) -> Pulse | None:
        settings = self.desk.settings
        if present - self.renewed_at < settings.heartbeat_seconds:
            return find_pulse(self.desk.database, self.claim)
        pulse = renew(self.desk.database, settings, self.claim)
        self.renewed_at = present
        return pulse

    def _insist(self, waited_seconds: float) -> None:
        grace = self.desk.settings.cancel_grace_seconds
        if waited_seconds > 2 * grace:
            signal_group(self.child, signal.SIGKILL)
        elif waited_seconds > grace:
            signal_group(self.child, signal.SIGTERM)

    def _has_ended_itself(self) -> bool:
        """After the end was written, leave the process time to exit; a fenced one has none."""
        run = find_run(self.desk.database, self.claim.run_id)
        is_own_end = run is not None and run.attempt == self.claim.attempt
        if not is_own_end:
            self.grace_seconds = 0.0
            return False
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(self.desk.settings.cancel_grace_seconds)
        return False


def _start(desk: Desk, claim: Claim, module: str) -> subprocess.Popen[bytes]:
    folder = desk.settings.attempt_folder(claim.run_id, claim.attempt)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [str(number) for number in (claim.run_id, claim.attempt, os.getpid())]
    with (folder / OUTPUT_FILE).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *numbers],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=desk.settings.build_environment(),
        )


def _settle(desk: Desk, claim: Claim, code: int) -> None:
    """Report a process that ended while the run still counts as running."""
    if find_pulse(desk.database, claim) is None:
        return
    folder = desk.settings.attempt_folder(claim.run_id, claim.attempt)
    output = _read_end(folder / OUTPUT_FILE)
    why = describe_exit(code)
    report_death(desk.database, desk.settings, claim, why=why, traceback=output)


def describe_exit(code: int) -> str:
    """Say how a process ended that left no word, from its exit code."""
    if code == -signal.SIGKILL:
        return "its process was killed by the operating system, most often for too little memory"
    if code < 0:
        return f"its process crashed ({signal.Signals(-code).name})"
    return f"its process ended with code {code} and without a result"


def _read_end(path: Path) -> str | None:
    try:
        text = path.read_bytes()[-MAX_OUTPUT_BYTES:].decode("utf-8", "replace")
    except OSError:
        return None
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") or None
