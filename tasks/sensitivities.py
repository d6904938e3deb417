"""Runs that score how much each unit's width matters: what may be asked, and queueing it.

Of a model as it is, or of a training run whose adapters act. Everything that can be told without
loading the model is refused here, in a sentence, before anything is queued. Start with
`submit_sensitivity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import Problem, SpecError
from engine.estimates.scoring import list_scored
from engine.estimates.selection import list_quantized
from engine.models.shapes import ModelShapes
from engine.sensitivity.checks import iter_layer_problems, iter_sensitivity_problems
from engine.specs import (
    ExperimentSpec,
    SensitivitySpec,
    load_spec,
    resolve_child,
    resolve_sensitivity,
    to_yaml,
)
from engine.specs.resolve import lay_over
from tasks.desk import Desk
from tasks.errors import WrongState
from tasks.prediction import Estimate, list_misfits, list_unknown, load_shapes, predict_child
from tasks.requests import queue_child
from tasks.store.records import LARGEST_ID, RunRecord
from tasks.store.runs import get_run

PARENT = "parent"


@dataclass(frozen=True)
class SensitivityPreview:
    """What a sensitivity run would be.

    Attributes:
        spec: Complete.
        yaml: The same as text.
        estimate: Memory and time; its sizes are those of the model at the quantizer's bits.
        num_scores: How many units are taken to how many widths, all in all.
    """

    spec: SensitivitySpec
    yaml: str
    estimate: Estimate | None
    num_scores: int


def submit_sensitivity(
    desk: Desk, values: Mapping[str, Any], *, overrides: Sequence[str] = (), priority: int = 0
) -> RunRecord:
    """Queue the scoring of a model's units at widths.

    Args:
        desk: Where it is handed in.
        values: What differs from the defaults, such as {"method": {"method": "ablation"}}; with
            `parent` the layers of that training run are scored, and its model, quantizer and
            adapter cannot be asked for again.
        overrides: "widths=[4, 2]" and the like, laid over them; values are read as YAML.
        priority: Higher goes first.

    Raises:
        RunNotFound: When there is no such parent.
        WrongState: When it has not succeeded.
        SpecError: When it cannot be scored like this, does not fit the model's layers, or names
            unknown data or benchmarks.
        ModelError: When its model cannot be found.
    """
    asked = _lay_over(values, overrides)
    spec, shapes = _prepare(desk, asked)
    return queue_child(desk, spec, asked, shapes, priority=priority)


def preview_sensitivity(
    desk: Desk, values: Mapping[str, Any], *, overrides: Sequence[str] = ()
) -> SensitivityPreview:
    """Say what would be queued; arguments and refusals as for `submit_sensitivity`."""
    spec, shapes = _prepare(desk, _lay_over(values, overrides))
    predicted = predict_child(desk.database, desk.settings, spec, shapes=shapes)
    return SensitivityPreview(spec, to_yaml(spec), predicted, len(list_scored(spec, shapes)))


def _lay_over(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise SpecError.at("", "the request is not a mapping of fields; give model and method")
    return lay_over(values, overrides)


def _prepare(desk: Desk, values: Mapping[str, Any]) -> tuple[SensitivitySpec, ModelShapes]:
    """Return the complete spec and its model's shapes."""
    spec = _resolve(desk, values)
    _raise(tuple(iter_sensitivity_problems(spec)))
    shapes = load_shapes(desk.settings, spec)
    _raise(list_misfits(spec, shapes))
    names = [layer.name for layer in list_quantized(spec, shapes)]
    _raise((*iter_layer_problems(spec, names), *list_unknown(desk.settings, spec)))
    return spec, shapes


def _resolve(desk: Desk, values: Mapping[str, Any]) -> SensitivitySpec:
    """Complete the spec, from its training run where it has one."""
    parent = values.get(PARENT)
    if parent is None:
        return resolve_sensitivity(values)
    return resolve_child(SensitivitySpec, _get_trained(desk, parent), values)


def _get_trained(desk: Desk, parent: Any) -> ExperimentSpec:
    """Return the spec of a run whose layers can be scored."""
    if isinstance(parent, bool) or not isinstance(parent, int) or not 1 <= parent <= LARGEST_ID:
        raise SpecError.at(PARENT, f"{str(parent)[:60]!r} is not the number of a run, such as 12")
    run = get_run(desk.database, parent)
    spec = load_spec(run.spec)
    if not isinstance(spec, ExperimentSpec):
        trained = f"the training run, {spec.parent}" if spec.parent else "a training run"
        raise SpecError.at(PARENT, f"run {parent} trained nothing itself; give {trained}")
    if run.state != "succeeded":
        raise WrongState(f"run {parent} is {run.state}; layers are scored on runs that succeeded")
    return spec


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise SpecError(*problems)
