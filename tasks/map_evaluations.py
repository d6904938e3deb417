"""Runs that measure a training run at many layer maps: what may be asked, and queueing it.

Everything that can be told without loading the model is refused here, in a sentence, before
anything is queued. Start with `submit_map_evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import SpecError
from engine.estimates.selection import list_adapted, list_quantized, list_selected
from engine.layer_fit import check_fit
from engine.map_fit import check_measurable, iter_map_problems
from engine.models.shapes import ModelShapes
from engine.robustness.attackable import check_attack
from engine.specs import (
    ExperimentSpec,
    MapEvaluationSpec,
    NoAttack,
    load_spec,
    resolve_child,
    to_yaml,
)
from tasks.desk import Desk
from tasks.errors import WrongState
from tasks.prediction import Estimate, list_unknown, load_shapes, predict_child
from tasks.requests import queue_child
from tasks.store.records import RunRecord
from tasks.store.runs import get_run


@dataclass(frozen=True)
class MapPreview:
    """What an evaluation of maps would be.

    Attributes:
        spec: Complete.
        yaml: The same as text.
        estimate: Size, memory and time.
    """

    spec: MapEvaluationSpec
    yaml: str
    estimate: Estimate | None


def submit_map_evaluation(
    desk: Desk, parent_id: int, values: Mapping[str, Any], *, priority: int = 0
) -> RunRecord:
    """Queue the measurement of a training run at many layer maps.

    Args:
        desk: Where it is handed in.
        parent_id: The training run.
        values: `maps`, such as [{"map": "uniform", "bits": 4}], and whatever else differs from the
            defaults (`attack`, `evaluation`, `seed`, `name`); what is measured is the training
            run's setting where `evaluation` says nothing else.
        priority: Higher goes first.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it has not succeeded.
        SpecError: When it cannot be measured at these maps, or not be attacked.
        ModelError: When its model cannot be found.
    """
    spec, shapes = _prepare(desk, parent_id, values)
    return queue_child(desk, spec, dict(values), shapes, priority=priority)


def preview_map_evaluation(desk: Desk, parent_id: int, values: Mapping[str, Any]) -> MapPreview:
    """Say what would be queued; arguments and refusals as for `submit_map_evaluation`."""
    spec, shapes = _prepare(desk, parent_id, values)
    predicted = predict_child(desk.database, desk.settings, spec, shapes=shapes)
    return MapPreview(spec, to_yaml(spec), predicted)


def _prepare(
    desk: Desk, parent_id: int, values: Mapping[str, Any]
) -> tuple[MapEvaluationSpec, ModelShapes]:
    """Return the complete spec and its model's shapes."""
    trained = _get_trained(desk, parent_id)
    if values.get("parent", parent_id) != parent_id:
        raise SpecError.at("parent", f"must be {parent_id}, the run that is measured, or left out")
    spec = resolve_child(MapEvaluationSpec, trained, {**values, "parent": parent_id})
    shapes = load_shapes(desk.settings, trained)
    _check(desk, spec, shapes)
    return spec, shapes


def _get_trained(desk: Desk, run_id: int) -> ExperimentSpec:
    """Return the spec of a run that can be measured at other widths."""
    run = get_run(desk.database, run_id)
    spec = load_spec(run.spec)
    if not isinstance(spec, ExperimentSpec):
        raise SpecError.at(
            "parent", f"run {run_id} trained nothing itself; give the training run, {spec.parent}"
        )
    check_measurable(spec)
    if run.state != "succeeded":
        raise WrongState(f"run {run_id} is {run.state}; maps are measured on runs that succeeded")
    return spec


def _check(desk: Desk, spec: MapEvaluationSpec, shapes: ModelShapes) -> None:
    """Refuse what does not fit the training run's layers, adapters or head."""
    if not isinstance(spec.attack, NoAttack):
        check_attack(spec)
    quantized = [layer.name for layer in list_quantized(spec, shapes)]
    adapted = [layer.name for layer in list_adapted(spec, shapes)]
    selected = [layer.name for layer in list_selected(spec, shapes)]
    whole = [name for name in selected if name not in quantized]
    problems = (
        *iter_map_problems(spec, quantized=quantized, adapted=adapted, whole=whole),
        *check_fit(spec, shapes),
        *list_unknown(desk.settings, spec),
    )
    if problems:
        raise SpecError(*problems)
