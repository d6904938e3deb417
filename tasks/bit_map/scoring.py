"""The scores of a sensitivity run, laid out for a map's layers, and what they leave unknown.

Read once for as long as the run's scores stay the same. A width between two scored ones is put on a
straight line through the logarithms of theirs; outside them the loss falls to a fourth with every
bit, as the power of rounding noise does (Bennett 1948, "Spectra of quantized signals").
Start with `find_scored`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Double, func, select, type_coerce

from engine.errors import BitdialError
from engine.specs import SensitivitySpec
from engine.specs.layer_bits import UNROUNDED, WIDTHS
from tasks.bit_map.ground import COLUMN, Ground, build_ground
from tasks.desk import Desk
from tasks.map_corrections import Basis, build_basis
from tasks.map_subjects import describe_text, is_same_text, tell_text
from tasks.score_tables import load_scores
from tasks.store.bit_map_records import BitMapRecord
from tasks.store.tables import Run, SensitivityScore

Floats = NDArray[np.float64]
Stamp = tuple[str, int, str, int, int, str]
"""State, attempt, creation, and of the scores how many there are, of how much text, their sum."""
FALL_PER_BIT = 4.0


@dataclass(frozen=True, eq=False)
class Scored:
    """What the layers of a map lose at each width.

    Attributes:
        run_id: The sensitivity run.
        groups: Layers that were scored together.
        unit_of: (L,) the first layer of each one's group, or the layer itself.
        values: (L, W) loss of each layer at each of `WIDTHS`, against the start map; not-a-number
            for layers that have no score at all.
        errors: (L, W) its standard error; 0 where it has none.
        known: (L, W) whether it was scored, or is the start.
        scored: Score and standard error by layer and width, as they were measured.
        basis: What predictions by these scores stand on.
        scored_on: The text they are of, in words; None where they are of none.
        remarks: What a prediction by these scores leaves open, as sentences.
        note: What a person should know of the scores; empty where they are whole.
        version: A word that is another one whenever the run's scores are others.
    """

    ground: Ground
    run_id: int
    method: str
    metric: str
    unit: str
    groups: tuple[tuple[int, ...], ...]
    unit_of: NDArray[np.int64]
    values: Floats
    errors: Floats
    known: NDArray[np.bool_]
    scored: Mapping[int, Mapping[int, tuple[float, float | None]]]
    is_complete: bool
    basis: Basis
    scored_on: str | None
    remarks: tuple[str, ...]
    note: str
    version: str

    @property
    def lacking(self) -> tuple[int, ...]:
        """Layers without any score."""
        return tuple(np.flatnonzero(np.isnan(self.values).all(axis=1)).tolist())

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths that any layer was scored at."""
        return tuple(sorted({bits for own in self.scored.values() for bits in own}))


@dataclass(frozen=True)
class _Source:
    """Where scores are from; equal as long as the run has the same ones."""

    address: str
    run_id: int
    metric: str
    stamp: Stamp
    spec: str
    shapes: str
    desk: Desk = field(compare=False)
    record: BitMapRecord = field(compare=False)


@dataclass(frozen=True)
class Unscored:
    """There are no scores.

    Attributes:
        reason: Why, as half a sentence; empty where the map never had any.
    """

    reason: str

    def explain(self) -> str:
        """Say why nothing can be solved, as the rest of a sentence."""
        reason = self.reason or "this map has no scores to solve with"
        return f"{reason}; open a map from a sensitivity run"


def find_scored(desk: Desk, record: BitMapRecord) -> Scored | Unscored:
    """Return the scores of a map, or why there are none."""
    if record.metric is None:
        return Unscored("")
    run_id = record.sensitivity_run_id
    stamp = None if run_id is None else _find_stamp(desk, run_id)
    if run_id is None or stamp is None:
        return Unscored("the sensitivity run that this map had its scores from was deleted")
    try:
        return _load_from(desk, record, run_id, stamp)
    except BitdialError as error:
        return Unscored(f"the scores of run {run_id} cannot be read: {error}")


def _load_from(desk: Desk, record: BitMapRecord, run_id: int, stamp: Stamp) -> Scored:
    assert record.metric is not None
    address = desk.database.url.render_as_string(hide_password=True)
    return _load(
        _Source(
            address,
            run_id,
            record.metric,
            stamp,
            spec=str(record.spec),
            shapes=record.shapes,
            desk=desk,
            record=record,
        )
    )


def _find_stamp(desk: Desk, run_id: int) -> Stamp | None:
    """Return what changes whenever the scores of a run do; None where it is gone.

    A gradient run tells the same units again and again, each time from more text, so that counting
    them is not enough.
    """
    query = (
        select(
            Run.state,
            Run.attempt,
            Run.created_at,
            func.count(SensitivityScore.unit),
            func.coalesce(func.sum(SensitivityScore.num_samples), 0),
            func.coalesce(func.sum(type_coerce(SensitivityScore.value, Double)), 0.0),
        )
        .outerjoin(SensitivityScore, SensitivityScore.run_id == Run.id)
        .where(Run.id == run_id)
        .group_by(Run.id)
    )
    with desk.database.reading() as session:
        found = session.execute(query).one_or_none()
    if found is None:
        return None
    state, attempt, created_at, count, samples, total = found
    return state, attempt, str(created_at), count, int(samples), str(total)


@lru_cache(maxsize=32)
def _load(source: _Source) -> Scored:
    ground = build_ground(source.record.spec, source.record.shapes)
    table = load_scores(source.desk, source.run_id, source.metric)
    scored = {
        ground.places[name]: own for name, own in table.scores.items() if name in ground.places
    }
    shape = (ground.num_layers, len(WIDTHS))
    values, errors = np.full(shape, np.nan), np.zeros(shape)
    known = np.zeros(shape, dtype=bool)
    for place, own in scored.items():
        for bits, (_, error) in own.items():
            errors[place, COLUMN[bits]], known[place, COLUMN[bits]] = error or 0.0, True
        values[place] = _complete({bits: value for bits, (value, _) in own.items()})
    groups = [
        [ground.places[name] for name in group if name in ground.places] for group in table.groups
    ]
    units = np.arange(ground.num_layers)
    for group in groups:
        units[group] = group[0]
    spec = table.spec
    basis = build_basis(table, ground.spec, ground.names)
    return Scored(
        ground=ground,
        run_id=source.run_id,
        method=table.method,
        metric=table.metric,
        unit=spec.unit,
        groups=tuple(map(tuple, groups)),
        unit_of=units,
        values=values,
        errors=errors,
        known=known,
        scored=scored,
        is_complete=table.is_complete,
        basis=basis,
        scored_on=tell_text(spec),
        remarks=_list_remarks(basis, spec, ground),
        note=table.note,
        version=sha256(repr(source.stamp).encode()).hexdigest()[:12],
    )


def _list_remarks(basis: Basis, spec: SensitivitySpec, ground: Ground) -> tuple[str, ...]:
    """Say what stands between a prediction and its measurement."""
    found = [basis.obstacle] if basis.obstacle else []
    scored_on, evaluation = tell_text(spec), ground.spec.evaluation
    if scored_on is not None and not is_same_text(spec, evaluation):
        measured_on = describe_text(evaluation.data, evaluation.max_length)
        found.append(f"Scores are of {scored_on}; a map is measured on {measured_on}.")
    return tuple(found)


def _complete(known: Mapping[int, float]) -> list[float]:
    """Return the loss at every width."""
    rising = sorted(known)
    return [known[bits] if bits in known else _guess(known, rising, bits) for bits in WIDTHS]


def _guess(known: Mapping[int, float], rising: list[int], bits: int) -> float:
    """Return the loss at a width nobody scored."""
    below = max((each for each in rising if each < bits), default=None)
    above = min((each for each in rising if each > bits), default=None)
    if below is not None and above is not None and known[below] > 0 and known[above] > 0:
        share = (bits - below) / (above - below)
        return float(known[below] ** (1 - share) * known[above] ** share)
    if below is not None:
        if bits == UNROUNDED:
            return min(known[below], 0.0)
        return _fall(known[below], bits - below)
    assert above is not None
    return _fall(known[above], bits - above)


def _fall(loss: float, steps: int) -> float:
    """Return what is left of a loss so many bits higher; one that is no loss stays."""
    return float(loss * FALL_PER_BIT**-steps) if loss > 0 else loss
