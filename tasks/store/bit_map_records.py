"""The frozen rows of bit maps; none changes under its holder. Start with `BitMapRecord`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tasks.store.records import RunState

ChangeKind = Literal["step", "move", "name", "version"]


@dataclass(frozen=True)
class NewBitMap:
    """A map to be opened; fields as in `BitMapRecord`."""

    name: str
    spec: dict[str, Any]
    shapes: str
    content: dict[str, Any]
    sensitivity_run_id: int | None = None
    metric: str | None = None


@dataclass(frozen=True)
class BitMapRecord:
    """A layer map that people edit.

    Attributes:
        spec: A complete experiment's spec: the model, how it is rounded, and what is measured.
        shapes: The sizes of the model's layers as JSON, so that the map outlives the model.
        sensitivity_run_id: Where its scores are from; None without any, or where it was deleted.
        metric: Of these scores; None where the map never had any.
        revision: Grows with every change.
        position: Of the state that holds.
        top: The last position that redo reaches.
    """

    id: int
    name: str
    spec: dict[str, Any]
    shapes: str
    sensitivity_run_id: int | None
    metric: str | None
    revision: int
    position: int
    top: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class MapItem:
    """A map as it stands in a list, without spec and shapes; fields as in `BitMapRecord`."""

    id: int
    name: str
    model: str
    revision: int
    sensitivity_run_id: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class StateRecord:
    """What a map was at a revision; `is_step` where an edit made it, not undo or redo."""

    map_id: int
    revision: int
    position: int
    client: str
    is_step: bool
    content: dict[str, Any]


@dataclass(frozen=True)
class VersionRecord:
    """A state that was given a name."""

    map_id: int
    number: int
    name: str
    content: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Snapshot:
    """A map as it stands, read at one moment, and whether the states next to it are kept."""

    map: BitMapRecord
    state: StateRecord
    can_undo: bool
    can_redo: bool


@dataclass(frozen=True)
class MapChange:
    """How a revision came to be: an edit, undo or redo, another name, or a version that was kept.

    Attributes:
        client: Who made it; empty where that is not told.
    """

    revision: int
    client: str
    kind: ChangeKind


@dataclass(frozen=True)
class NewCheck:
    """What was predicted of a map when the run that measures it was queued.

    Attributes:
        revision: Of the map.
        content_hash: The same for the same widths.
        metric: What was predicted; None where there were no scores.
        predicted: What was shown, `low` to `high` with 95 %.
        scored_on: The text that the scores are of, in words; None where they are of none.
        obstacle: Why prediction and measurement cannot be compared, as a sentence; None where
            they can.
    """

    revision: int
    content_hash: str
    effective_bits: float
    metric: str | None = None
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    scored_on: str | None = None
    obstacle: str | None = None


@dataclass(frozen=True)
class CheckRecord(NewCheck):
    """A run that measures a map; fields as in `NewCheck`, and these besides.

    Attributes:
        map_id: None where the map was deleted.
        state: Of the run.
        spec: Of the run.
        scores: What it measured: the value and standard error of a metric of the text.
        baseline: Perplexity of the 16-bit model in the same setting, with its standard error.
    """

    map_id: int | None = None
    run_id: int = 0
    state: RunState = "queued"
    spec: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    baseline: tuple[float, float | None] | None = None
