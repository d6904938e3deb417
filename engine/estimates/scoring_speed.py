"""How fast this machine scores a model's units, from sensitivity runs that already finished.

Start with `learn_scoring`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from engine.estimates.duration import time_scoring
from engine.estimates.speed import PastRun, SpeedBasis
from engine.models.shapes import ModelShapes
from engine.specs import SensitivitySpec, Subject

STAGE = "sensitivity"


def learn_scoring(
    spec: Subject, shapes: ModelShapes, runs: Iterable[PastRun], *, speed: SpeedBasis
) -> SpeedBasis:
    """Return a speed that knows how long a method took here, beside its rule of thumb.

    Args:
        spec: A complete spec; any but that of a sensitivity run changes nothing.
        shapes: The layers of its model.
        runs: Finished sensitivity runs of the same model on the same device, in one attempt each;
            those by another method are passed over.
        speed: What is known besides.
    """
    if not isinstance(spec, SensitivitySpec):
        return speed
    factors = [
        run.seconds_by_stage[STAGE] / time_scoring(run.spec, shapes, speed)
        for run in runs
        if isinstance(run.spec, SensitivitySpec)
        and run.spec.method == spec.method
        and run.seconds_by_stage.get(STAGE)
    ]
    if not factors:
        return speed
    return replace(speed, scoring_factor=median(factors), num_scored=len(factors))
