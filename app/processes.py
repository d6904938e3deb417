"""Child processes whose output goes to a log and which never outlive us.

How often they are restarted is decided in `app.supervisor`. Start with `start_child`.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.processes import PR_SET_PDEATHSIG

_PR_SET_CHILD_SUBREAPER = 36
_MAX_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Child:
    """A process we started, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path


def start_child(name: str, arguments: Sequence[str], *, log_path: Path) -> Child:
    """Start `python ARGUMENTS` in its own session, with its output appended to a file.

    Must be called from the main thread: on Linux the child is sent SIGTERM when the thread that
    started it ends. A log that has grown large begins anew.

    Raises:
        OSError: When the log cannot be opened or no process can be started.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    is_large = log_path.exists() and log_path.stat().st_size > _MAX_LOG_BYTES
    with log_path.open("wb" if is_large else "ab") as log:
        # A preexec_fn is safe here: whoever supervises has a single thread.
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
        )
    return Child(name, process, log_path)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent died, so that none can be lost."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stop_descendants(*, grace_seconds: float) -> None:
    """End whatever our children left behind, however deep: first asked, then killed."""
    left = psutil.Process().children(recursive=True)
    _signal_all(left, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(left, timeout=grace_seconds)
    _signal_all(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=grace_seconds)


def read_last_lines(path: Path, *, count: int = 20) -> str:
    """Return the end of a log; empty where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 64 * 1024))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def _signal_all(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
