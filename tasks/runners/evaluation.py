"""Runs the evaluation of given ranks on a trained adapter."""

from __future__ import annotations

from engine.rank_search import ParentFiles, run_rank_evaluation
from engine.specs import RankEvaluationSpec
from tasks.runners.beginning import begin
from tasks.runners.context import RunContext


def run(context: RunContext) -> None:
    """Carry an evaluation of ranks out.

    Raises:
        BitdialError: Of the kind that fits.
    """
    assert isinstance(context.spec, RankEvaluationSpec)
    assert context.parent is not None
    run_rank_evaluation(
        context.spec,
        workspace=begin(context),
        listener=context.listener,
        parent=ParentFiles(context.parent.result, context.parent.history),
    )
