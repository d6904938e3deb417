"""One unit after another at each width, measured on tasks: whole evaluations.

Start with `ablate_on_tasks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence

from engine.errors import ModelError
from engine.events import Listener, Logged, ScoreMeasured, SensitivityScored
from engine.sensitivity.checks import Pair
from engine.sensitivity.start_map import StartMap
from engine.sensitivity.units import Units

Measure = Callable[[str, int], Sequence[ScoreMeasured]]
"""Asks the tasks of the model as it stands; told the label of the map and how many came before."""
START = "start"


def ablate_on_tasks(
    start: StartMap,
    units: Units,
    pairs: Sequence[Pair],
    *,
    measure: Measure,
    listener: Listener,
    done: Collection[tuple[str, int]] = frozenset(),
) -> None:
    """Measure units at widths; every metric of every task is announced as what is lost in it.

    A metric that grows with quality counts the other way round. Its name has the task's before it.
    The error of a loss is that of two independent scores, their errors added in quadrature: tasks
    do not hand out what they score on each question, and the same questions asked twice would have
    a smaller one.

    Args:
        start: The layers; they stand at their start map before and after.
        units: Layers of each unit.
        pairs: What to measure. A metric that is no number there is told in the log and not
            announced.
        measure: Asks the tasks.
        listener: Told of scores; may raise to stop.
        done: Pairs that are known already.

    Raises:
        ModelError: When a score at the start map is not a number.
    """
    known = set(done)
    left = [pair for pair in pairs if tuple(pair) not in known]
    if not left:
        return
    start.apply()
    before = {_name(score): score for score in measure(START, 0)}
    _require_finite(before.values())
    for count, (unit, bits) in enumerate(left, start=1):
        with start.switched(units[unit], bits):
            found = measure(f"{unit} at {bits} bits", count)
        for score in found:
            if _name(score) not in before:
                continue
            if math.isfinite(score.value):
                listener(_compare(unit, bits, score, before[_name(score)]))
            else:
                told = f"{unit} at {bits} bits has no score: its {_name(score)} is no number"
                listener(Logged("warning", told))


def _require_finite(scores: Iterable[ScoreMeasured]) -> None:
    """Refuse scores of the start map that are no numbers.

    Raises:
        ModelError: At the format.
    """
    for score in scores:
        if not math.isfinite(score.value):
            raise ModelError(
                f"{_name(score)} of the model at its start map is not a finite number; choose "
                "float32 or bfloat16",
                field="model.dtype",
            )


def _name(score: ScoreMeasured) -> str:
    return f"{score.benchmark} {score.metric}"


def _compare(unit: str, bits: int, now: ScoreMeasured, before: ScoreMeasured) -> SensitivityScored:
    """Return what is lost between two scores of one metric."""
    lost = now.value - before.value if now.direction == "lower" else before.value - now.value
    error = None
    if now.standard_error is not None and before.standard_error is not None:
        error = math.hypot(now.standard_error, before.standard_error)
    return SensitivityScored(unit, bits, _name(now), lost, error, now.num_samples)
