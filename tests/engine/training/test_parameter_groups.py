"""Promises of what trains at which rate, over the steps."""

from __future__ import annotations

import math

import pytest
import torch

from engine.layers.swap import Layers
from engine.specs import NoAdapter, QatTraining
from engine.training.parameter_groups import (
    build_optimizer,
    build_scheduler,
    learning_rates,
    named_trainables,
)
from tests.engine.tiny_layers import quantized_llama

STEPS = 20


@pytest.fixture(scope="module")
def layers() -> Layers:
    """Return the layers of a tiny Llama."""
    return quantized_llama()[1]


def rates_over_steps(layers: Layers, **values: object) -> list[dict[str, float]]:
    """Return the rates each of the steps is taken with."""
    spec = QatTraining(learning_rate=1e-2, range_learning_rate=1e-3, **values)
    optimizer = build_optimizer(layers, spec)
    scheduler = build_scheduler(optimizer, spec, STEPS)
    found = []
    for _ in range(STEPS):
        found.append(learning_rates(optimizer))
        optimizer.step()
        scheduler.step()
    return found


def test_adapters_and_ranges_are_all_there_is(layers: Layers) -> None:
    """Every adapter and range is in its group once, ranges without decay, weights in none."""
    optimizer = build_optimizer(layers, QatTraining(weight_decay=0.1))
    adapters, ranges = optimizer.param_groups
    assert (adapters["name"], adapters["weight_decay"]) == ("adapters", 0.1)
    assert (ranges["name"], ranges["weight_decay"]) == ("ranges", 0.0)
    named = named_trainables(layers)
    assert len(named) == 4 * len(layers)
    grouped = {id(value) for group in (adapters, ranges) for value in group["params"]}
    assert grouped == {id(value) for value in named.values()}
    assert grouped.isdisjoint({id(layer.weight) for layer in layers.values()})
    assert all(value.dtype == torch.float32 for value in named.values())


def test_a_range_rate_of_zero_freezes_ranges(layers: Layers) -> None:
    """Without a rate the ranges are in no group and ask for no gradient; else they do again."""
    optimizer = build_optimizer(layers, QatTraining(range_learning_rate=0))
    assert [group["name"] for group in optimizer.param_groups] == ["adapters"]
    ranges = [value for name, value in named_trainables(layers).items() if "/ranges." in name]
    assert not any(value.requires_grad for value in ranges)
    build_optimizer(layers, QatTraining())
    assert all(value.requires_grad for value in ranges)


def test_ranges_can_train_alone() -> None:
    """Without an adapter there is one group."""
    _, layers = quantized_llama(adapter=NoAdapter())
    optimizer = build_optimizer(layers, QatTraining())
    assert [group["name"] for group in optimizer.param_groups] == ["ranges"]


@pytest.mark.parametrize(
    ("schedule", "middle", "last"),
    [
        ("constant", 1.0, 1.0),
        ("linear", 8 / 16, 1 / 16),
        ("cosine", 0.5, 0.5 * (1 + math.cos(math.pi * 15 / 16))),
    ],
)
def test_rates_rise_then_follow_the_schedule(
    layers: Layers, schedule: str, middle: float, last: float
) -> None:
    """The warm-up is linear from zero, the peak is the spec's rate, the end the schedule's."""
    found = rates_over_steps(layers, lr_scheduler_type=schedule, warmup_ratio=0.2)
    adapters = [rates["adapters"] / 1e-2 for rates in found]
    assert adapters[:5] == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert adapters[12] == pytest.approx(middle)
    assert adapters[-1] == pytest.approx(last)
    assert [rates["ranges"] / 1e-3 for rates in found] == pytest.approx(adapters)


def test_without_a_warm_up_the_first_step_has_the_peak_rate(layers: Layers) -> None:
    """A warm-up of nothing starts at the top."""
    found = rates_over_steps(layers, lr_scheduler_type="cosine", warmup_ratio=0.0)
    assert found[0]["adapters"] == 1e-2
