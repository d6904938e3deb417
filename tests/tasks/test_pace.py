"""How long a run still needs."""

from __future__ import annotations

from typing import Any

import pytest

from engine.specs import resolve
from tasks.pace import Pace, count_passes


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


def test_a_stage_that_runs_twice_is_charged_until_its_last_pass(clock: Clock) -> None:
    """Benchmarks asked before training leave their second half to come, and then nothing."""
    passes = count_passes(
        resolve({"preset": "qat-lora", "evaluation": {"before_training": True}}).spec
    )
    pace = Pace({"benchmarks": 60.0, "train": 100.0}, passes)
    expected = {"benchmarks": 16 + 30 + 100, "train": 16 + 30, "evaluate": 16 + 30}
    for stage, seconds in [*expected.items(), ("benchmarks", 16)]:
        pace.start(stage)
        pace.predict(0, 10)
        clock.seconds += 4
        assert pace.predict(2, 10) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "qat-lora", "evaluation": {"before_training": False}},
        {"preset": "rtn", "evaluation": {"before_training": True}},
    ],
)
def test_other_runs_ask_the_benchmarks_once(values: dict[str, Any]) -> None:
    """Without scores before training, or without training, each stage runs once."""
    assert count_passes(resolve(values).spec) == {}
