"""How long a run still needs, from how fast its present stage goes. Start with `Pace`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

MIN_SECONDS = 1.0


@dataclass
class Pace:
    """Follows the stages of one attempt; changed by its listener only.

    Attributes:
        predicted: Seconds by stage as estimated before launch, for stages not begun yet.
    """

    predicted: Mapping[str, float]
    _stage: str | None = None
    _begun: set[str] = field(default_factory=set)
    _stage_started: float = 0.0
    _first: tuple[float, int] | None = None

    def start(self, stage: str) -> float | None:
        """Begin a stage; return the seconds of the one that ends, or None for the first."""
        seconds = self.stage_seconds
        self._stage, self._stage_started, self._first = stage, time.monotonic(), None
        self._begun.add(stage)
        return seconds

    @property
    def stage_seconds(self) -> float | None:
        """Seconds the present stage has lasted; None before the first."""
        return time.monotonic() - self._stage_started if self._stage else None

    def predict(self, done: int, total: int) -> float | None:
        """Return the seconds until the end, from progress in the present stage; None if unknown.

        The first progress is the start of the clock: what a stage does before its first unit
        (compiling, reading) says nothing of the units to come.
        """
        present = time.monotonic()
        if self._first is None:
            self._first = (present, done)
            return None
        started, first_done = self._first
        elapsed = present - started
        if done <= first_done or elapsed < MIN_SECONDS:
            return None
        to_come = sum(
            seconds for stage, seconds in self.predicted.items() if stage not in self._begun
        )
        return elapsed / (done - first_done) * max(0, total - done) + to_come
