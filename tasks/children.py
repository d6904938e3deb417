"""Runs that build on a training run: a search for its best ranks, the evaluation of given ones.

Everything that can be told without loading the model is refused here, in a sentence, before
anything is queued. Start with `submit_search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import SpecError
from engine.estimates.rank_space import list_groups
from engine.models.shapes import ModelShapes
from engine.search.heuristics import find_named
from engine.search.objective import check_objective, check_searchable
from engine.search.spaces import Ranks, check_ranks
from engine.specs import (
    ElasticLoraAdapter,
    ExperimentSpec,
    ObjectiveSpec,
    QatTraining,
    RankEvaluationSpec,
    RankSearchSpec,
    TaskData,
    load_spec,
    resolve_child,
)
from tasks.desk import Desk
from tasks.errors import WrongState
from tasks.prediction import list_unknown, load_shapes
from tasks.requests import queue_child
from tasks.store.records import RunRecord
from tasks.store.runs import get_run


@dataclass(frozen=True)
class _Trained:
    """A finished training run with elastic adapters."""

    run: RunRecord
    spec: ExperimentSpec
    adapter: ElasticLoraAdapter
    shapes: ModelShapes


def submit_search(
    desk: Desk, parent_id: int, values: Mapping[str, Any], *, priority: int = 0
) -> RunRecord:
    """Queue a search for the best ranks of a training run's adapters.

    Args:
        desk: Where it is handed in.
        parent_id: The training run.
        values: Nested fields of a search that differ from its defaults, such as
            {"search": {"strategy": "random"}}; what is measured is the training run's setting where
            `evaluation` says nothing else.
        priority: Higher goes first.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it has not succeeded.
        SpecError: When it has no elastic adapters, or nothing to choose ranks on.
        ModelError: When its model cannot be found.
    """
    trained = _get_trained(desk, parent_id)
    if trained.adapter.rank_policy == "fixed":
        raise SpecError.at(
            "parent",
            f"run {parent_id} trained one configuration of ranks only; search one trained with "
            "adapter.rank_policy uniform or sandwich",
        )
    wanted = _name_strategy({**values, "parent": parent_id})
    spec = resolve_child(RankSearchSpec, trained.spec, wanted)
    _check_objective(trained, spec.objective)
    _check_benchmarks(desk, spec)
    return queue_child(desk, spec, dict(values), trained.shapes, priority=priority)


def submit_evaluation(
    desk: Desk, parent_id: int, values: Mapping[str, Any], *, priority: int = 0
) -> RunRecord:
    """Queue the evaluation of given ranks; arguments and refusals as for `submit_search`.

    `values["ranks"]` is a rank per group, as a list or as text with commas between, or "maximal",
    "median" or "minimal".
    """
    trained = _get_trained(desk, parent_id)
    groups = _list_groups(trained)
    asked = dict(values)
    if isinstance(asked.get("ranks"), str):
        asked["ranks"] = list(_read_ranks(asked["ranks"], trained.adapter, len(groups)))
    spec = resolve_child(RankEvaluationSpec, trained.spec, {**asked, "parent": parent_id})
    check_ranks(spec.ranks, groups=groups, rank_space=trained.adapter.rank_space)
    _check_benchmarks(desk, spec)
    return queue_child(desk, spec, asked, trained.shapes, priority=priority)


def _get_trained(desk: Desk, run_id: int) -> _Trained:
    """Return a run whose ranks can be chosen."""
    run = get_run(desk.database, run_id)
    spec = load_spec(run.spec)
    if not isinstance(spec, ExperimentSpec):
        raise SpecError.at(
            "parent", f"run {run_id} trained nothing itself; give the training run, {spec.parent}"
        )
    if not isinstance(spec.adapter, ElasticLoraAdapter):
        raise SpecError.at(
            "parent",
            f"run {run_id} has no elastic adapters; give a run with adapter.kind elastic-lora",
        )
    check_searchable(spec)
    if run.state != "succeeded":
        raise WrongState(f"run {run_id} is {run.state}; ranks are chosen on runs that succeeded")
    return _Trained(run, spec, spec.adapter, load_shapes(desk.settings, spec))


def _name_strategy(values: dict[str, Any]) -> dict[str, Any]:
    """Name the default strategy where only its fields are given."""
    search = values.get("search")
    if isinstance(search, Mapping) and "strategy" not in search:
        usual = RankSearchSpec.model_fields["search"].default.strategy
        values["search"] = {"strategy": usual, **search}
    return values


def _list_groups(trained: _Trained) -> tuple[str, ...]:
    """Return the groups of layers as the run told them, else as its model's shapes do."""
    told = trained.run.chosen_ranks or trained.run.rank_counts
    if told:
        return tuple(told["groups"])
    return tuple(group.name for group in list_groups(trained.spec, trained.shapes))


def _read_ranks(text: str, adapter: ElasticLoraAdapter, num_groups: int) -> Ranks:
    """Read ranks with commas, spaces or lines between, or the name of a configuration."""
    words = text.replace(",", " ").split()
    if words and all(word.isdecimal() for word in words):
        return tuple(int(word) for word in words)
    return find_named(text.strip(), num_groups=num_groups, rank_space=adapter.rank_space)


def _check_objective(trained: _Trained, objective: ObjectiveSpec) -> None:
    """Refuse a search that has no examples to compare configurations on."""
    training = trained.spec.training
    data = training.data if isinstance(training, QatTraining) else None
    run_id = trained.run.id
    if not isinstance(data, TaskData):
        raise SpecError.at(
            "parent",
            f"run {run_id} was not trained on a task; ranks are chosen on a task's examples "
            "(training.data.kind task)",
        )
    check_objective(data, objective)


def _check_benchmarks(desk: Desk, spec: RankSearchSpec | RankEvaluationSpec) -> None:
    problems = list_unknown(desk.settings, spec)
    if problems:
        raise SpecError(*problems)
