"""What the stages of a run share: its spec and workspace, its listener, its clock, its text.

Start with `open_session`.
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
from engine.device import choose_device, is_out_of_memory, peak_memory_bytes, reset_peak_memory
from engine.errors import OutOfMemory
from engine.events import Listener, Progressed, ResourcesMeasured, StageStarted
from engine.models.loading import LoadedModel
from engine.specs import DataSpec, Subject


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

    spec: Subject
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


@contextmanager
def open_session(
    spec: Subject, workspace: Workspace, listener: Listener, *, device: str
) -> Iterator[Session]:
    """Start the clock and the random numbers of a run, and announce what it took at the end.

    Raises:
        OutOfMemory: In place of whatever a short memory raised inside.
    """
    session = Session(spec, workspace, listener, choose_device(device))
    torch.manual_seed(spec.seed)
    reset_peak_memory(session.device)
    try:
        yield session
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{session.device} has too little memory for this run") from error
    listener(ResourcesMeasured(peak_memory_bytes(session.device), session.seconds))


def load_windows(
    session: Session, data: DataSpec, loaded: LoadedModel, *, field: str, max_length: int
) -> Tensor:
    """Load the (N, T) windows of a text; `field` is the spec field that holds `data`."""
    documents = load_documents(
        data,
        field=field,
        data_folder=session.workspace.data_folder,
        mirror=session.workspace.mirror,
    )
    return build_windows(documents, loaded.tokenizer, max_length=max_length, field=field)
