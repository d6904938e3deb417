"""What a request will need, before it runs, with the past runs of this store as the basis.

No arithmetic here: `engine.estimates` has it. Start with `predict`.
"""

from __future__ import annotations

import os
from typing import Literal

from engine.errors import Problem
from engine.estimates import Estimate, PastRun, SpeedBasis, estimate, learn_speed
from engine.layer_fit import check_fit
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec
from tasks.settings import Settings
from tasks.store.database import Database
from tasks.store.history import find_last_device, list_past_runs

DeviceKind = Literal["cpu", "cuda"]


def load_shapes(settings: Settings, spec: ExperimentSpec) -> ModelShapes:
    """Read the sizes of the layers of a spec's model.

    Raises:
        ModelError: When the model cannot be found or read.
    """
    return read_shapes(spec.model, data_folder=settings.data_folder)


def list_misfits(spec: ExperimentSpec, shapes: ModelShapes) -> tuple[Problem, ...]:
    """Return where a spec does not fit the layers of its model."""
    return check_fit(spec, shapes)


def predict(
    database: Database, settings: Settings, spec: ExperimentSpec, *, shapes: ModelShapes
) -> Estimate:
    """Predict size, memory and time of a spec that fits its model."""
    return estimate(spec, shapes, speed=load_speed(database, settings, spec))


def load_speed(database: Database, settings: Settings, spec: ExperimentSpec) -> SpeedBasis:
    """Take the speed from past runs of the same model on the device that ran it last.

    Without any, only the kind of device is known: that of the last run, else that of the queue.
    """
    past = list_past_runs(database, spec.model.source)
    device = past[0].device if past else find_last_device(database, settings.queue)
    return learn_speed(
        [PastRun(ExperimentSpec.model_validate(run.spec), run.seconds_by_stage) for run in past],
        device=_device_kind(device or settings.queue),
        num_cores=os.cpu_count() or 1,
    )


def _device_kind(name: str) -> DeviceKind:
    return "cuda" if any(word in name.lower() for word in ("cuda", "gpu")) else "cpu"


__all__ = ["Estimate", "list_misfits", "load_shapes", "load_speed", "predict"]
