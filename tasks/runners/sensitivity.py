"""Runs the scoring of units at widths, without those that are measured already."""

from __future__ import annotations

from pathlib import Path

from engine.events import Logged
from engine.layer_sensitivity import STATE_FILE, ParentFiles, run_sensitivity
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
    _take_over_state(context.folder)
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


def _take_over_state(folder: Path) -> None:
    """Move what an earlier attempt had gathered here; of several the newest that kept any."""
    earlier = sorted(folder.parent.glob(f"attempt-*/{STATE_FILE}"), key=_number, reverse=True)
    found = next((path for path in earlier if path.parent != folder), None)
    if found is not None:
        found.replace(folder / STATE_FILE)


def _number(path: Path) -> int:
    return int(path.parent.name.rpartition("-")[2])
