"""Runs the measurement of a trained model at many layer maps, without those measured already."""

from __future__ import annotations

from engine.events import Logged
from engine.map_evaluation import ParentFiles, run_map_evaluation
from engine.specs import MapEvaluationSpec
from tasks.runners.beginning import begin
from tasks.runners.context import RunContext


def run(context: RunContext) -> None:
    """Carry an evaluation of maps out.

    Raises:
        BitdialError: Of the kind that fits.
    """
    assert isinstance(context.spec, MapEvaluationSpec)
    assert context.parent is not None
    workspace = begin(context)
    if context.done:
        count = f"{len(context.done)} of {len(context.spec.maps)} maps"
        context.listener(Logged("info", f"{count} are measured already"))
    parent = context.parent
    run_map_evaluation(
        context.spec,
        workspace=workspace,
        listener=context.listener,
        parent=ParentFiles(parent.result, parent.history, parent.head),
        done=context.done,
    )
