"""Runs a search for the best ranks, with what is known already."""

from __future__ import annotations

from engine.events import Logged
from engine.rank_search import ParentFiles, run_rank_search
from engine.specs import RankSearchSpec
from tasks.runners.beginning import begin
from tasks.runners.context import RunContext, index_known


def run(context: RunContext) -> None:
    """Carry a search out.

    Raises:
        BitdialError: Of the kind that fits.
    """
    assert isinstance(context.spec, RankSearchSpec)
    assert context.parent is not None
    workspace = begin(context)
    if context.known:
        count = len(context.known)
        context.listener(Logged("info", f"{count} configurations are known from before"))
    run_rank_search(
        context.spec,
        workspace=workspace,
        listener=context.listener,
        parent=ParentFiles(context.parent.result, context.parent.history),
        known=index_known(context.known),
    )
