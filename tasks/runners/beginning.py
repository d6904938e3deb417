"""What every runner begins with: the spec beside the run, and its workspace. Loads torch."""

from __future__ import annotations

from engine.events import FileWritten, Logged
from engine.session import Workspace
from engine.specs import to_yaml
from tasks.runners.context import RunContext

SPEC_FILE = "spec.yaml"


def begin(context: RunContext) -> Workspace:
    """Write the spec beside the run, and say where the run goes on from."""
    (context.folder / SPEC_FILE).write_text(to_yaml(context.spec), encoding="utf-8")
    context.listener(FileWritten("spec", SPEC_FILE))
    if context.resume_from is not None:
        context.listener(Logged("info", f"going on from {context.resume_from.name}"))
    return Workspace(context.folder, context.data_folder, context.mirror, context.resume_from)
