"""Less memory for the same result."""

from __future__ import annotations

import pytest

from engine.specs import ExperimentSpec, QatTraining, resolve
from tasks.microbatch import apply_halvings, halve


def spec(micro: int, accumulation: int, evaluation: int = 1) -> ExperimentSpec:
    training = {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": accumulation,
    }
    values = {"per_device_eval_batch_size": evaluation}
    return resolve({"preset": "qat-lora", "training": training, "evaluation": values}).spec


def sizes(found: ExperimentSpec | None) -> tuple[int, int, int]:
    assert found is not None
    assert isinstance(found.training, QatTraining)
    return (
        found.training.per_device_train_batch_size,
        found.training.gradient_accumulation_steps,
        found.evaluation.per_device_eval_batch_size,
    )


@pytest.mark.parametrize(("micro", "accumulation"), [(8, 1), (6, 1), (7, 2), (5, 3), (4096, 1)])
def test_the_batch_stays_the_same(micro: int, accumulation: int) -> None:
    """Each halving at least halves the microbatch and keeps the batch, down to one window."""
    present = spec(micro, accumulation)
    while (smaller := halve(present)) is not None:
        before, after = sizes(present), sizes(smaller)
        assert after[0] <= before[0] // 2
        assert after[0] * after[1] == micro * accumulation
        present = smaller
    assert sizes(present)[0] == 1


def test_evaluation_is_halved_too() -> None:
    """A run that only measures gets by with less as well."""
    assert sizes(halve(spec(1, 4, evaluation=4))) == (1, 4, 2)
    assert sizes(apply_halvings(spec(4, 1, evaluation=4), 9)) == (1, 4, 1)


def test_one_window_cannot_be_halved() -> None:
    """At one window at a time there is nothing left to give."""
    assert halve(spec(1, 4)) is None


def test_accumulation_stays_within_its_limit() -> None:
    """What the spec would not accept is not tried."""
    assert halve(spec(4, 4096)) is None
