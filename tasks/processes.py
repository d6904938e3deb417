"""Tying the lives of processes together, so that nothing goes on after its owner has died.

On Linux the kernel does it; elsewhere the lease does: an orphan's writes are refused.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None, *, number: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel kill this process when the thread that started it ends.

    Must be the first thing a child does; leaves at once where the parent is gone already.

    Args:
        parent: Process id the parent is expected to have; the present parent's where unknown.
        number: What the kernel sends; a signal that can be caught lets the child tidy up.
    """
    if sys.platform != "linux":
        return
    expected = parent or os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != expected:
        os._exit(1)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a child started in its own session, and to all it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def stop(process: subprocess.Popen[bytes], *, grace_seconds: float) -> None:
    """Terminate a child's group, kill it when the grace is over, and wait for it."""
    if process.poll() is None:
        signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
    signal_group(process, signal.SIGKILL)
    process.wait()
