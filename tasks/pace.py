"""How long a run still needs, from how fast its present stage goes. Start with `Pace`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.specs import ExperimentSpec, QatTraining, RunSpec

MIN_SECONDS = 1.0


@dataclass
class Pace:
    """Follows the stages of one attempt; changed by its listener only.

    Attributes:
        predicted: Seconds by stage as estimated before launch, for stages not begun yet.
        passes: How often a stage is gone through in an attempt, where that is more than once; its
            predicted seconds are those of all passes.
    """

    predicted: Mapping[str, float]
    passes: Mapping[str, int] = field(default_factory=dict)
    _stage: str | None = None
    _begun: Counter[str] = field(default_factory=Counter)
    _stage_started: float = 0.0
    _first: tuple[float, int] | None = None

    def start(self, stage: str) -> float | None:
        """Begin a stage; return the seconds of the one that ends, or None for the first."""
        seconds = self.stage_seconds
        self._stage, self._stage_started, self._first = stage, time.monotonic(), None
        self._begun[stage] += 1
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
            seconds * self._share_left(stage) for stage, seconds in self.predicted.items()
        )
        return elapsed / (done - first_done) * max(0, total - done) + to_come

    def _share_left(self, stage: str) -> float:
        """Return which share of a stage's passes has not begun."""
        passes = self.passes.get(stage, 1)
        return max(0, passes - self._begun[stage]) / passes


def count_passes(spec: RunSpec) -> dict[str, int]:
    """Return the stages that an attempt goes through more than once, with how often."""
    trains = isinstance(spec, ExperimentSpec) and isinstance(spec.training, QatTraining)
    return {"benchmarks": 2} if trains and spec.evaluation.before_training else {}
