"""Python's logging and warnings as lines of a run's log. Start with `capturing`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.events import Level, Logged

OURS = ("engine", "tasks")


class _LineHandler(logging.Handler):
    """Hands records over as lines: ours from info on, others' from warnings on."""

    def __init__(self, take: Callable[[Logged], None]) -> None:
        super().__init__(logging.INFO)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record over."""
        is_ours = record.name.split(".")[0] in OURS
        if is_ours or record.levelno >= logging.WARNING:
            self._take(Logged(_to_level(record.levelno), record.getMessage().strip()))


@contextmanager
def capturing(take: Callable[[Logged], None]) -> Iterator[None]:
    """Hand over all that is logged or warned within; `take` may be called from any thread."""
    root, handler = logging.getLogger(), _LineHandler(take)
    levels = {name: logging.getLogger(name).level for name in OURS}
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)


def _to_level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"
