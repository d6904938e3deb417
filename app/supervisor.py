"""Broker, worker and web process under one roof: started in order, restarted, stopped together.

How a single process is started and ended stands in `app.processes`. Start with `Supervisor`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from app.processes import Child, adopt_orphans, read_last_lines, start_child, stop_descendants
from engine.errors import BitdialError
from tasks.processes import stop

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 30.0
_LOOK_SECONDS = 0.1


class PartFailed(BitdialError):
    """A part of Bitdial ends as soon as it is started."""


@dataclass(frozen=True)
class Part:
    """A process to keep alive.

    Attributes:
        name: What people call it; its log is NAME.log.
        arguments: What follows `python`.
        grace_seconds: How long it may take to end when asked.
        max_quick_ends: How often in a row it may end right after its start before we give up.
    """

    name: str
    arguments: tuple[str, ...]
    grace_seconds: float = 10.0
    max_quick_ends: int = 5


@dataclass
class _Kept:
    """A part with its present process and how its starts went; changed by the supervisor only."""

    part: Part
    child: Child
    started_at: float
    quick_ends: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Starts parts in order, restarts those that end, and stops all in reverse order.

    A context manager: leaving it ends every process that was started, and theirs. Not thread-safe;
    use it from the main thread.
    """

    log_folder: Path
    _kept: list[_Kept] = field(default_factory=list)

    def __enter__(self) -> Supervisor:
        adopt_orphans()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for kept in reversed(self._kept):
            stop(kept.child.process, grace_seconds=kept.part.grace_seconds)
        stop_descendants(grace_seconds=2.0)
        self._kept.clear()

    def start(self, part: Part) -> None:
        """Start a part and keep it alive from now on."""
        child = self._launch(part)
        self._kept.append(_Kept(part, child, time.monotonic()))

    def look(self) -> None:
        """Restart what has ended; call it often.

        Raises:
            PartFailed: When a part ended right after its start too often; names its log.
        """
        for kept in self._kept:
            if kept.restart_at is not None:
                self._restart_when_due(kept)
            elif kept.child.process.poll() is not None:
                self._plan_restart(kept)

    def _plan_restart(self, kept: _Kept) -> None:
        now = time.monotonic()
        is_quick = now - kept.started_at < _STEADY_SECONDS
        kept.quick_ends = kept.quick_ends + 1 if is_quick else 0
        if kept.quick_ends >= kept.part.max_quick_ends:
            raise PartFailed(_describe_failure(kept.child))
        pause = _FIRST_PAUSE_SECONDS * 2 ** max(0, kept.quick_ends - 1)
        kept.restart_at = now + min(pause, _LONGEST_PAUSE_SECONDS)

    def _restart_when_due(self, kept: _Kept) -> None:
        if time.monotonic() >= (kept.restart_at or 0.0):
            kept.child = self._launch(kept.part)
            kept.started_at, kept.restart_at = time.monotonic(), None

    def _launch(self, part: Part) -> Child:
        return start_child(part.name, part.arguments, log_path=self.log_folder / f"{part.name}.log")


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and SIGHUP set; earlier handlers come back after."""
    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_while_looking(
    supervisor: Supervisor, asked: threading.Event, *, seconds: float | None = None
) -> bool:
    """Keep parts alive until asked to stop or until the time has passed.

    Returns:
        True when asked to stop.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while not asked.wait(_LOOK_SECONDS):
        supervisor.look()
        if deadline is not None and time.monotonic() >= deadline:
            return False
    return True


def _describe_failure(child: Child) -> str:
    lines = read_last_lines(child.log_path)
    ending = f"; its last lines:\n{lines}" if lines else ""
    return (
        f"the {child.name} process ends as soon as it is started (exit code "
        f"{child.process.returncode}); the whole log is {child.log_path}{ending}"
    )
