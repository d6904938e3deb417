"""How long a run still needs."""

from __future__ import annotations

import pytest

from tasks.pace import Pace


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("tasks.pace.time.monotonic", made)
    return made


def test_what_remains_follows_the_measured_rate(clock: Clock) -> None:
    """Two seconds a unit and eight units to go are sixteen seconds, and later stages besides."""
    pace = Pace({"load": 9.0, "train": 100.0, "evaluate": 30.0})
    assert pace.start("load") is None
    clock.seconds = 5
    assert pace.start("train") == 5
    assert pace.predict(0, 10) is None
    clock.seconds = 9
    assert pace.predict(2, 10) == pytest.approx(16 + 30)


def test_too_little_is_known_at_first(clock: Clock) -> None:
    """In the first second, and before any unit, nothing is told."""
    pace = Pace({})
    pace.start("train")
    pace.predict(0, 10)
    clock.seconds = 0.5
    assert pace.predict(1, 10) is None
    clock.seconds = 5
    assert pace.predict(0, 10) is None
