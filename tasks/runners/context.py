"""What a runner is handed, and its signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.events import Listener
from engine.specs import ExperimentSpec


@dataclass(frozen=True)
class RunContext:
    """One attempt, as a runner sees it.

    Attributes:
        spec: What to do, with microbatches as small as memory asked for.
        folder: The attempt's own folder; exists.
        data_folder: Shared by all runs.
        mirror: Folder of data sets to look in before the hub, or None.
        resume_from: Newest checkpoint of an earlier attempt, or None.
        listener: Told of everything; may raise `Cancelled`.
    """

    spec: ExperimentSpec
    folder: Path
    data_folder: Path
    mirror: Path | None
    resume_from: Path | None
    listener: Listener


Runner = Callable[[RunContext], None]
