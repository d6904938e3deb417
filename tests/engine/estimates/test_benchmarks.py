"""Promises of what benchmarks cost: counted where known, and said to be a guess where not."""

from __future__ import annotations

import pytest

from engine.estimates.benchmarks import KNOWN, count_benchmarks
from engine.estimates.duration import estimate_duration
from engine.estimates.speed import PastRun, SpeedBasis, learn_speed
from engine.estimates.workload import count_workload, longest_row
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import EvaluationSpec, ExperimentSpec, QatTraining, resolve


@pytest.mark.parametrize(
    ("values", "tokens", "is_guess"),
    [
        ({}, 0, False),
        ({"benchmarks": ("openbookqa",)}, 500 * 21, False),
        ({"benchmarks": ("openbookqa",), "benchmark_limit": 10}, 10 * 21, False),
        ({"benchmarks": ("openbookqa",), "benchmark_limit": 9000}, 500 * 21, False),
        ({"benchmarks": ("arc_easy",), "num_fewshot": 2}, 2376 * (41 + 2 * 32), False),
        ({"benchmarks": ("gsm8k",)}, 1319 * (194 + 5 * 190), True),
        ({"benchmarks": ("gsm8k",), "num_fewshot": 0}, 1319 * 194, True),
        ({"benchmarks": ("openbookqa", "piqa")}, 500 * 21 + 1000 * 200, True),
    ],
)
def test_tokens_follow_from_questions_shots_and_limit(
    values: dict[str, object], tokens: int, is_guess: bool
) -> None:
    """A benchmark costs its questions, or the limit of them, times question and solved examples."""
    assert count_benchmarks(EvaluationSpec.model_validate(values)) == (tokens, is_guess)


def spec_of(*overrides: str) -> ExperimentSpec:
    """Return a training on a task with one benchmark."""
    return resolve({"preset": "qat-nls"}, overrides).spec


def test_a_measurement_before_training_counts_twice() -> None:
    """The same benchmark before and after training is twice the work."""
    once = count_workload(spec_of()).benchmark_tokens
    assert once == 500 * 21
    assert count_workload(spec_of("evaluation.before_training=true")).benchmark_tokens == 2 * once


def test_a_task_trains_on_its_examples_without_those_held_out() -> None:
    """OpenBookQA's 4,957 examples, 200 of them held out, are 298 steps of 16 × 16 tokens."""
    work = count_workload(spec_of())
    assert work.train_steps == 298
    assert work.train_tokens == 298 * 16 * 16
    assert not work.is_guess
    sandwich = count_workload(spec_of("adapter.rank_policy=sandwich"))
    assert sandwich.train_tokens == 3 * work.train_tokens


def test_memory_is_that_of_the_longest_example() -> None:
    """OpenBookQA's longest example has 80 tokens: a window length above that needs no more."""
    training = {length: spec_of(f"training.max_length={length}").training for length in (64, 256)}
    found = {
        length: longest_row(each)
        for length, each in training.items()
        if isinstance(each, QatTraining)
    }
    assert found == {64: 64, 256: 80}


def test_the_time_of_benchmarks_is_learned_from_past_runs() -> None:
    """A run that asked 10,500 tokens in 21 seconds makes the next one 21 seconds, not a rule."""
    shapes = ModelShapes((LayerShape("lm_head", 8, 8),), 0, False, 8, 8, 1, "embed")
    assert set(KNOWN) >= {"openbookqa"}
    rule = estimate_duration(spec_of(), shapes, speed=SpeedBasis()).parts["benchmarks"]
    speed = learn_speed([PastRun(spec_of(), {"benchmarks": 21.0})])
    assert estimate_duration(spec_of(), shapes, speed=speed).parts["benchmarks"] == pytest.approx(
        21
    )
    assert rule != pytest.approx(21)
