"""The units of a sensitivity run with all they have scored, as pages and REST show them.

Where the model is gone its scores are told all the same. Start with `read_units`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from engine.errors import ModelError
from engine.estimates.selection import list_quantized
from engine.models.naming import split_name
from engine.sensitivity.units import Units, list_units
from engine.specs import SensitivitySpec
from tasks.desk import Desk
from tasks.prediction import load_shapes
from tasks.score_tables import describe_lacking, get_sensitivity, list_metrics
from tasks.store.records import SensitivityScoreRecord
from tasks.store.sensitivity_scores import list_scores

Score = tuple[float | None, float | None, int]


@dataclass(frozen=True)
class ScoredUnit:
    """A unit and what it has scored.

    Attributes:
        unit: Its name.
        layers: What changes its width with it.
        block: The block of its layers; None where they have none, or several.
        kind: What its layers are called last, where that is the same for all; else "".
        scores: Value (None where it is no finite number), standard error and sample count by metric
            and width.
    """

    unit: str
    layers: tuple[str, ...]
    block: int | None
    kind: str
    scores: dict[str, dict[int, Score]]


@dataclass(frozen=True)
class ScoredUnits:
    """What a sensitivity run has scored so far; `note` says what is missing."""

    unit: str
    method: str
    metrics: tuple[str, ...]
    widths: tuple[int, ...]
    units: tuple[ScoredUnit, ...]
    is_complete: bool
    note: str


def read_units(desk: Desk, run_id: int) -> ScoredUnits:
    """Return every unit of a run in the model's order, scored or not.

    Raises:
        RunNotFound: When there is no such run.
        SpecError: At "sensitivity", when it is of another kind.
    """
    run, spec = get_sensitivity(desk, run_id)
    records = list_scores(desk.database, run_id)
    try:
        units, gone = _list_units(desk, spec), ""
    except ModelError as error:
        units, gone = {each.unit: (each.unit,) for each in records}, str(error)
    note = gone or describe_lacking(run, spec, units, records)
    return ScoredUnits(
        unit=spec.unit,
        method=spec.method.method,
        metrics=list_metrics(records),
        widths=tuple(spec.widths),
        units=tuple(_describe(unit, units[unit], own) for unit, own in _sort(records, units)),
        is_complete=not note,
        note=note,
    )


def _list_units(desk: Desk, spec: SensitivitySpec) -> Units:
    shapes = load_shapes(desk.settings, spec)
    return list_units(tuple(each.name for each in list_quantized(spec, shapes)), spec.unit)


def _sort(
    records: Sequence[SensitivityScoreRecord], units: Units
) -> list[tuple[str, list[SensitivityScoreRecord]]]:
    found: dict[str, list[SensitivityScoreRecord]] = {unit: [] for unit in units}
    for each in records:
        if each.unit in found:
            found[each.unit].append(each)
    return list(found.items())


def _describe(
    unit: str, layers: tuple[str, ...], records: Sequence[SensitivityScoreRecord]
) -> ScoredUnit:
    places = [split_name(name) for name in layers]
    blocks, kinds = {each.block for each in places}, {each.kind for each in places}
    scores: dict[str, dict[int, Score]] = {}
    for each in records:
        value = each.value if isfinite(each.value) else None
        scores.setdefault(each.metric, {})[each.bits] = (
            value,
            each.standard_error,
            each.num_samples,
        )
    block = blocks.pop() if len(blocks) == 1 else None
    return ScoredUnit(unit, layers, block, kinds.pop() if len(kinds) == 1 else "", scores)
