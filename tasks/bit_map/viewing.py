"""What a page shows of a map: its state after every edit, a budget tried out, the frontier.

Nothing is written here. `view_state` answers every edit, so it holds nothing that edits do not
change; what stays the same is the ground's. Start with `view_state`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from engine.allocation.budgets import MIB_BITS, Budget
from engine.errors import BitdialError, SpecError
from tasks.bit_map.content import Content, read_content
from tasks.bit_map.ground import Ground, build_ground
from tasks.bit_map.ledger import Ledger, count_stored_bits, write_ledger
from tasks.bit_map.predicting import MapPrediction, predict
from tasks.bit_map.scoring import Scored, Unscored, find_scored
from tasks.bit_map.solving import find_frontier, place_widths, solve
from tasks.desk import Desk
from tasks.map_corrections import (
    Corrector,
    explain_unmeasured,
    find_measured,
    learn_correction,
)
from tasks.map_subjects import describe_evaluation
from tasks.prediction import load_shapes
from tasks.store.bit_map_checks import PERPLEXITY, list_checks
from tasks.store.bit_map_records import BitMapRecord, CheckRecord, VersionRecord
from tasks.store.bit_map_versions import list_versions
from tasks.store.bit_maps import get_snapshot
from tasks.store.records import RunState

WIDTHS = (2, 3, 4, 6, 8, 16)
"""What a page offers where nothing else was scored."""
NUM_POINTS = 400


@dataclass(frozen=True)
class CheckView:
    """A measurement of a map: predicted beside measured.

    `scored_on` and `measured_on` are the texts of either; `note` says why nothing measured stands
    there.
    """

    run: int
    state: RunState
    revision: int
    effective_bits: float
    predicted: float | None
    low: float | None
    high: float | None
    measured: float | None
    measured_error: float | None
    perplexity: float | None
    scored_on: str | None
    measured_on: str
    note: str


@dataclass(frozen=True)
class VersionView:
    """A named state, and how large it is."""

    number: int
    name: str
    created_at: datetime
    effective_bits: float


@dataclass(frozen=True)
class StateView:
    """Everything that an edit may change; `scores` is the version of the scores, empty without."""

    revision: int
    name: str
    content: Content
    can_undo: bool
    can_redo: bool
    ledger: Ledger
    prediction: MapPrediction | None
    checks: tuple[CheckView, ...]
    versions: tuple[VersionView, ...]
    scores: str
    note: str


@dataclass(frozen=True)
class SolutionView:
    """A budget tried out."""

    widths: tuple[int, ...]
    ledger: Ledger
    prediction: MapPrediction


@dataclass(frozen=True)
class FrontierView:
    """Sizes worth having and what is lost at each, from small to large."""

    effective_bits: tuple[float, ...]
    mib: tuple[float, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True)
class Workplace:
    """A map with what it stands on, as it was at one moment."""

    record: BitMapRecord
    ground: Ground
    content: Content
    scored: Scored | Unscored
    can_undo: bool
    can_redo: bool

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths a page offers."""
        scored = self.scored.widths if isinstance(self.scored, Scored) else ()
        return tuple(sorted({*WIDTHS, *scored, *self.content.widths}))


def view_state(desk: Desk, map_id: int, *, note: str = "") -> StateView:
    """Return a map as it stands.

    Raises:
        MapNotFound: When there is no such map.
    """
    return view_place(desk, open_workplace(desk, map_id), note=note)


def view_place(desk: Desk, place: Workplace, *, note: str = "") -> StateView:
    """Return the state of a map that was opened."""
    map_id = place.record.id
    prediction = None
    if isinstance(place.scored, Scored):
        corrector = learn_correction(desk.database, place.scored.basis)
        prediction = predict(place.scored, place.content, corrector)
    return StateView(
        revision=place.record.revision,
        name=place.record.name,
        content=place.content,
        can_undo=place.can_undo,
        can_redo=place.can_redo,
        ledger=write_ledger(place.ground, place.content, place.widths),
        prediction=prediction,
        checks=tuple(map(_view_check, list_checks(desk.database, map_id))),
        versions=_view_versions(place.ground, list_versions(desk.database, map_id)),
        scores=place.scored.version if isinstance(place.scored, Scored) else "",
        note=note,
    )


def open_workplace(desk: Desk, map_id: int) -> Workplace:
    """Return a map with what it stands on.

    Raises:
        MapNotFound: When there is no such map.
    """
    snapshot = get_snapshot(desk.database, map_id)
    record = snapshot.map
    return Workplace(
        record=record,
        ground=build_ground(record.spec, record.shapes),
        content=read_content(snapshot.state.content),
        scored=find_scored(desk, record),
        can_undo=snapshot.can_undo,
        can_redo=snapshot.can_redo,
    )


def list_notes(desk: Desk, place: Workplace) -> tuple[str, ...]:
    """Return what has changed under a map: its scores were deleted, its model is gone or another.

    A map is edited all the same.
    """
    notes = []
    if isinstance(place.scored, Unscored) and place.scored.reason:
        reason = place.scored.reason
        notes.append(f"{reason[:1].upper()}{reason[1:]}; widths can be set by hand.")
    try:
        shapes = load_shapes(desk.settings, place.ground.spec)
    except BitdialError as error:
        notes.append(f"The map can be edited, but neither measured nor trained from: {error}.")
    else:
        if shapes.own_layers != place.ground.shapes.own_layers:
            source = place.ground.spec.model.source
            notes.append(f"{source} has other layers now than when this map was opened.")
    return tuple(notes)


def try_budget(desk: Desk, map_id: int, budget: Budget) -> SolutionView:
    """Return the best map of a budget; nothing is kept.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: At "budget", when it is too small or there are no scores; at "pins", "limits" or
            "groups", when these leave a layer no width.
    """
    place = open_workplace(desk, map_id)
    scored = _get_scored(place)
    solution = solve(scored, place.content, budget)
    content = replace(place.content, widths=place_widths(place.ground, solution), budget=budget)
    corrector = learn_correction(desk.database, scored.basis)
    return SolutionView(
        widths=content.widths,
        ledger=write_ledger(place.ground, content, place.widths),
        prediction=predict(scored, content, corrector),
    )


def view_frontier(desk: Desk, map_id: int) -> FrontierView:
    """Return sizes worth having, at most some hundreds of them, and what is lost at each.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: As `try_budget`.
    """
    place = open_workplace(desk, map_id)
    scored = _get_scored(place)
    frontier = find_frontier(scored, place.content)
    sizes, losses = frontier.points
    shown = np.unique(np.linspace(0, len(sizes) - 1, NUM_POINTS).round().astype(int))
    corrector = learn_correction(desk.database, scored.basis)
    return FrontierView(
        effective_bits=tuple((sizes[shown] / frontier.table.num_weights).tolist()),
        mib=tuple((sizes[shown] / MIB_BITS).tolist()),
        loss=_correct_all(losses[shown].tolist(), corrector),
    )


def _correct_all(losses: Sequence[float], corrector: Corrector) -> tuple[float, ...]:
    return tuple(corrector.correct(loss)[0] for loss in losses)


def _get_scored(place: Workplace) -> Scored:
    if isinstance(place.scored, Unscored):
        raise SpecError.at("budget", place.scored.explain())
    return place.scored


def _view_check(check: CheckRecord) -> CheckView:
    measured, error = find_measured(check) or (None, None)
    perplexity, _ = check.scores.get(PERPLEXITY, (None, None))
    return CheckView(
        run=check.run_id,
        state=check.state,
        revision=check.revision,
        effective_bits=check.effective_bits,
        predicted=check.predicted,
        low=check.low,
        high=check.high,
        measured=measured,
        measured_error=error,
        perplexity=perplexity,
        scored_on=check.scored_on,
        measured_on=describe_evaluation(check.spec),
        note=explain_unmeasured(check),
    )


def _view_versions(ground: Ground, records: Sequence[VersionRecord]) -> tuple[VersionView, ...]:
    num_weights = int(ground.num_weights.sum())
    return tuple(
        VersionView(
            number=each.number,
            name=each.name,
            created_at=each.created_at,
            effective_bits=count_stored_bits(ground, each.content["widths"]) / num_weights,
        )
        for each in records
    )
