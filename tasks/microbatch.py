"""Less memory for the same result: smaller microbatches, more of them. Start with `halve`."""

from __future__ import annotations

from typing import Any, TypeVar

from engine.specs import (
    EvaluationSpec,
    ExperimentSpec,
    ObjectiveSpec,
    QatTraining,
    RankSearchSpec,
    Subject,
)

MAX_ACCUMULATION = 4096
AnySpec = TypeVar("AnySpec", bound=Subject)


def halve(spec: AnySpec) -> AnySpec | None:
    """Return the spec with at most half as much computed at once; None where it cannot be.

    The batch of an optimizer step stays the same: accumulation grows as the microbatch shrinks. A
    run that trains nothing is left its training as it stands there.
    """
    smaller: dict[str, Any] = {
        "training": _halve_training(spec) if isinstance(spec, ExperimentSpec) else None,
        "evaluation": _halve_evaluation(spec.evaluation),
        "objective": _halve_objective(spec) if isinstance(spec, RankSearchSpec) else None,
    }
    update = {name: part for name, part in smaller.items() if part is not None}
    return spec.model_copy(update=update) if update else None


def apply_halvings(spec: AnySpec, count: int) -> AnySpec:
    """Return the spec halved so many times, or as often as it can be."""
    for _ in range(count):
        spec = halve(spec) or spec
    return spec


def _halve_training(spec: ExperimentSpec) -> QatTraining | None:
    training = spec.training
    if not isinstance(training, QatTraining) or training.per_device_train_batch_size == 1:
        return None
    batch = training.per_device_train_batch_size * training.gradient_accumulation_steps
    half = training.per_device_train_batch_size // 2
    micro = next(size for size in range(half, 0, -1) if batch % size == 0)
    if batch // micro > MAX_ACCUMULATION:
        return None
    update = {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
    }
    return training.model_copy(update=update)


def _halve_evaluation(evaluation: EvaluationSpec) -> EvaluationSpec | None:
    size = evaluation.per_device_eval_batch_size
    if size == 1:
        return None
    return evaluation.model_copy(update={"per_device_eval_batch_size": size // 2})


def _halve_objective(spec: RankSearchSpec) -> ObjectiveSpec | None:
    size = spec.objective.batch_size
    if size == 1:
        return None
    return spec.objective.model_copy(update={"batch_size": size // 2})
