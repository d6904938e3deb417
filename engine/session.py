"""What the stages of a run share: its spec and workspace, its listener, its clock, its text.

Start with `Session`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from engine.data.corpora import load_documents
from engine.data.windows import build_windows
from engine.events import Listener, Progressed, StageStarted
from engine.models.loading import LoadedModel
from engine.specs import DataAware, EvaluationSpec, ExperimentSpec, QatTraining

TextPart = EvaluationSpec | QatTraining | DataAware


@dataclass(frozen=True)
class Workspace:
    """Where a run reads and writes.

    Attributes:
        folder: The run's own; made if missing.
        data_folder: Shared: converted models and cached teacher targets.
        mirror: Folder of data sets to look in before the hub, or None.
        resume_from: Checkpoint of an earlier attempt to go on from, or None.
    """

    folder: Path
    data_folder: Path
    mirror: Path | None = None
    resume_from: Path | None = None


@dataclass
class Session:
    """What the stages of one run share.

    Attributes:
        seconds: Time spent, by stage.
    """

    spec: ExperimentSpec
    workspace: Workspace
    listener: Listener
    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[None]:
        """Announce a stage and time it."""
        self.listener(StageStarted(name, total))
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def progress(self, stage: str) -> StageProgress:
        """Return what announces the progress of a stage."""
        return StageProgress(stage, self.listener)

    @property
    def teacher_folder(self) -> Path:
        """Where teacher targets and states are kept for every run."""
        return self.workspace.data_folder / "teacher"


@dataclass(frozen=True)
class StageProgress:
    """Announces progress of one stage."""

    stage: str
    listener: Listener

    def __call__(self, done: int, total: int) -> None:
        """Announce that `done` of `total` units are finished."""
        self.listener(Progressed(self.stage, done, total))


def load_windows(session: Session, part: TextPart, loaded: LoadedModel, name: str) -> Tensor:
    """Load the windows a part of the spec asks for; `name` is the part's field."""
    documents = load_documents(
        part.data,
        field=f"{name}.data",
        data_folder=session.workspace.data_folder,
        mirror=session.workspace.mirror,
    )
    return build_windows(
        documents, loaded.tokenizer, max_length=part.max_length, field=f"{name}.data"
    )
