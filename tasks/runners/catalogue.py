"""Which kind of run is carried out by which function. Importing it loads torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tasks.runners import evaluation, experiment, map_evaluation, search, sensitivity
from tasks.runners.context import Runner
from tasks.store.records import RunKind

RUNNERS: Mapping[RunKind, Runner] = MappingProxyType(
    {
        "experiment": experiment.run,
        "search": search.run,
        "evaluation": evaluation.run,
        "map-evaluation": map_evaluation.run,
        "sensitivity": sensitivity.run,
    }
)
