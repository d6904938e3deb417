"""Less memory for the same result: smaller microbatches, more of them. Start with `halve`."""

from __future__ import annotations

from engine.specs import ExperimentSpec, QatTraining

MAX_ACCUMULATION = 4096


def halve(spec: ExperimentSpec) -> ExperimentSpec | None:
    """Return the spec with at most half the windows computed at once; None where it cannot be.

    The batch of an optimizer step stays the same: accumulation grows as the microbatch shrinks.
    """
    training = _halve_training(spec)
    evaluation = _halve_evaluation(spec)
    if training is None and evaluation is None:
        return None
    update = {"training": training or spec.training, "evaluation": evaluation or spec.evaluation}
    return spec.model_copy(update=update)


def apply_halvings(spec: ExperimentSpec, count: int) -> ExperimentSpec:
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


def _halve_evaluation(spec: ExperimentSpec) -> object | None:
    size = spec.evaluation.per_device_eval_batch_size
    if size == 1:
        return None
    return spec.evaluation.model_copy(update={"per_device_eval_batch_size": size // 2})
