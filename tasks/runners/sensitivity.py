"""Runs the scoring of units at widths, without those that are measured already."""

from __future__ import annotations

from engine.events import Logged
from engine.layer_sensitivity import ParentFiles, run_sensitivity
from engine.specs import SensitivitySpec
from tasks.runners.beginning import begin
from tasks.runners.context import RunContext


def run(context: RunContext) -> None:
    """Carry a sensitivity run out, of a model as it is or of a training run's.

    Raises:
        BitdialError: Of the kind that fits.
    """
    assert isinstance(context.spec, SensitivitySpec)
    workspace = begin(context)
    if context.scored:
        count = len(context.scored)
        words = "unit at a width is" if count == 1 else "units at widths are"
        context.listener(Logged("info", f"{count} {words} measured already"))
    parent = context.parent
    run_sensitivity(
        context.spec,
        workspace=workspace,
        listener=context.listener,
        parent=None if parent is None else ParentFiles(parent.result, parent.history, parent.head),
        done=context.scored,
    )
