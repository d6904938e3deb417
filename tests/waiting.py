"""Waiting in tests: poll with a deadline, and say what was waited for. Start with `wait_until`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    *,
    description: str,
    timeout_seconds: float = 30.0,
    interval_seconds: float = 0.02,
) -> T:
    """Return the condition's first truthy value.

    Raises:
        AssertionError: At the deadline; the message holds description and last value.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds} s for {description}; last: {value!r}")
        pause.wait(interval_seconds)
