"""Runs an experiment: hands its spec to the engine."""

from __future__ import annotations

from engine.experiment import run_experiment
from engine.specs import ExperimentSpec
from tasks.runners.beginning import begin
from tasks.runners.context import RunContext


def run(context: RunContext) -> None:
    """Carry an experiment out.

    Raises:
        BitdialError: Of the kind that fits.
    """
    assert isinstance(context.spec, ExperimentSpec)
    run_experiment(context.spec, workspace=begin(context), listener=context.listener)
