"""The listener that writes a run's events to the store, in batches, and stops it when asked.

Points, progress and lines are kept back for about a second; each write is fenced and brings back
whether somebody asked the run to stop, so a cancel takes effect within a step. While the database
cannot be reached the batch is kept; the worker ends the attempt if that lasts. Start with
`Recorder`.
"""

from __future__ import annotations

import threading
import time
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from engine.errors import Cancelled
from engine.events import (
    CandidateEvaluated,
    EnvironmentSeen,
    Event,
    FileWritten,
    Logged,
    MapScored,
    MetricPoint,
    Progressed,
    RanksChosen,
    RanksSampled,
    ResourcesMeasured,
    ScoreMeasured,
    SensitivityScored,
    SizeMeasured,
    StageStarted,
)
from tasks.errors import StoreUnavailable
from tasks.fingerprint import fingerprint
from tasks.lease import Claim
from tasks.pace import Pace
from tasks.store.database import Database
from tasks.store.files import list_files
from tasks.store.recording import Batch, Ending, finish, write_batch

FLUSH_SECONDS = 1.0
MAX_POINTS = 100
MAX_LINES = 200
MAX_MESSAGE = 10_000
FINISH_SECONDS = 30.0
RETRY_SECONDS = 0.5
PROMPT = (StageStarted, ScoreMeasured, CandidateEvaluated, MapScored, FileWritten, Logged)


class Recorder:
    """Writes the events of one attempt; may be called from several threads.

    Attributes:
        folder: Folder of the attempt; paths of `FileWritten` are relative to it.
        data_folder: What recorded paths are relative to.
    """

    def __init__(
        self, database: Database, claim: Claim, *, folder: Path, data_folder: Path, pace: Pace
    ) -> None:
        """Start with an empty batch; the first event is written at once."""
        self.folder = folder
        self.data_folder = data_folder
        self._database = database
        self._claim = claim
        self._pace = pace
        self._batch = Batch()
        self._flushed_at = 0.0
        self._lock = threading.RLock()

    def __call__(self, event: Event, /) -> None:
        """Take note of an event, and write what has gathered when it is time.

        Raises:
            Cancelled: When somebody asked the run to stop.
            Fenced: When the attempt no longer owns the run.
        """
        with self._lock:
            if isinstance(event, StageStarted):
                self.flush()
            self._note(event)
            if self._is_due(event):
                self.flush()

    def note(self, line: Logged) -> None:
        """Take note of a line from any thread; never writes, never raises."""
        with self._lock:
            self._note(line)

    def flush(self) -> None:
        """Write what has gathered; keeps it where the database cannot be reached.

        Raises:
            Cancelled: When somebody asked the run to stop.
            Fenced: When the attempt no longer owns the run.
        """
        with self._lock:
            self._flushed_at = time.monotonic()
            batch, self._batch = self._batch, Batch()
            try:
                control = write_batch(self._database, self._claim, batch)
            except StoreUnavailable:
                self._batch = batch
                return
        if control == "cancel":
            raise Cancelled

    def finish(self, ending: Ending, **columns: Any) -> None:
        """Write the rest and the end of the attempt together.

        Raises:
            Fenced: When the attempt no longer owns the run.
            StoreUnavailable: When the database could not be reached for half a minute.
        """
        deadline = time.monotonic() + FINISH_SECONDS
        with self._lock:
            self._batch.ended_stage_seconds = self._pace.stage_seconds
            while True:
                try:
                    finish(self._database, self._claim, self._batch, ending=ending, columns=columns)
                    return
                except StoreUnavailable:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(RETRY_SECONDS)

    def _is_due(self, event: Event) -> bool:
        if isinstance(event, PROMPT):
            return True
        if len(self._batch.points) >= MAX_POINTS or len(self._batch.lines) >= MAX_LINES:
            return True
        return time.monotonic() - self._flushed_at >= FLUSH_SECONDS

    @singledispatchmethod
    def _note(self, event: Event) -> None:
        raise TypeError(f"unknown event {event!r}")

    @_note.register
    def _(self, event: StageStarted) -> None:
        self._batch.ended_stage_seconds = self._pace.start(event.stage)
        self._batch.started_stage = event.stage
        self._batch.run |= {
            "stage": event.stage,
            "progress_done": 0,
            "progress_total": event.total,
            "eta_seconds": None,
        }

    @_note.register
    def _(self, event: Progressed) -> None:
        self._batch.run |= {
            "progress_done": event.done,
            "progress_total": event.total,
            "eta_seconds": self._pace.predict(event.done, event.total),
        }

    @_note.register
    def _(self, event: MetricPoint) -> None:
        self._batch.points.append(event)

    @_note.register
    def _(self, event: ScoreMeasured) -> None:
        self._batch.scores.append(event)

    @_note.register
    def _(self, event: SizeMeasured) -> None:
        self._batch.run["size"] = dict(vars(event))

    @_note.register
    def _(self, event: RanksSampled) -> None:
        self._batch.run["rank_counts"] = dict(vars(event))

    @_note.register
    def _(self, event: CandidateEvaluated) -> None:
        self._batch.candidates.append(event)

    @_note.register
    def _(self, event: MapScored) -> None:
        self._batch.map_scores.append(event)

    @_note.register
    def _(self, event: SensitivityScored) -> None:
        self._batch.sensitivity_scores.append(event)

    @_note.register
    def _(self, event: RanksChosen) -> None:
        self._batch.run["chosen_ranks"] = dict(vars(event))

    @_note.register
    def _(self, event: FileWritten) -> None:
        path = self.folder / event.path
        self._batch.files.append(fingerprint(event.kind, path, data_folder=self.data_folder))
        if event.kind == "checkpoint":
            self._batch.removed_files += self._list_vanished()

    @_note.register
    def _(self, event: Logged) -> None:
        message = event.message.replace("\0", "\N{REPLACEMENT CHARACTER}")[:MAX_MESSAGE]
        message = message.encode("utf-8", "replace").decode()
        self._batch.lines.append(Logged(event.level, message))

    @_note.register
    def _(self, event: EnvironmentSeen) -> None:
        self._batch.run["environment"] = dict(event.values)
        self._batch.run["device"] = event.values.get("device")

    @_note.register
    def _(self, event: ResourcesMeasured) -> None:
        self._batch.run["resources"] = dict(vars(event))

    def _list_vanished(self) -> list[str]:
        """Return recorded checkpoints that newer ones have replaced on disk."""
        records = list_files(self._database, self._claim.run_id)
        return [
            record.path
            for record in records
            if record.kind == "checkpoint" and not (self.data_folder / record.path).exists()
        ]
