"""Runs an experiment: writes its spec beside it, then hands it to the engine."""

from __future__ import annotations

from engine.events import FileWritten, Logged
from engine.experiment import Workspace, run_experiment
from engine.specs import to_yaml
from tasks.runners.context import RunContext

SPEC_FILE = "spec.yaml"


def run(context: RunContext) -> None:
    """Carry an experiment out.

    Raises:
        BitdialError: Of the kind that fits.
    """
    (context.folder / SPEC_FILE).write_text(to_yaml(context.spec), encoding="utf-8")
    context.listener(FileWritten("spec", SPEC_FILE))
    if context.resume_from is not None:
        context.listener(Logged("info", f"going on from {context.resume_from.name}"))
    workspace = Workspace(context.folder, context.data_folder, context.mirror, context.resume_from)
    run_experiment(context.spec, workspace=workspace, listener=context.listener)
