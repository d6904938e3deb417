"""Promises of the switch benchmark: it measures real layers, on a model small enough for a test."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.layers.head import SplitModel
from engine.layers.swap import LayerPlan, install
from engine.specs import LoraBankAdapter
from tests.benchmarks import switch
from tests.tiny_models import VOCAB_SIZE, make_llama

QUANTIZER = switch.QUANTIZER.model_copy(update={"group_size": 16})


def test_switching_and_stepping_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure is a positive time or a size, and training leaves the frozen weights alone."""
    model = make_llama()
    model.requires_grad_(requires_grad=False)
    monkeypatch.setattr(switch, "QUANTIZER", QUANTIZER)
    monkeypatch.setattr(switch, "draw_windows", lambda _: torch.arange(64).view(4, 16) % VOCAB_SIZE)
    adapter = LoraBankAdapter(r=4, placement="parallel")
    layers = install(model, LayerPlan(QUANTIZER, adapter, 0, widths=(switch.HIGH, switch.LOW)))
    before = {name: layer.weight.clone() for name, layer in layers.items()}
    figures = switch.measure_switching(layers, rounds=2)
    assert figures["switch_milliseconds"] > 0
    assert figures["memory_after_mib"] > 0
    times = switch.measure_steps(SplitModel(model), layers, rounds=2, range_learning_rate=0.0)
    assert [len(each) for each in (times.joint, times.apart, times.alone)] == [2, 2, 2]
    assert all(torch.equal(layer.weight, before[name]) for name, layer in layers.items())


def test_holding_rounds_every_weight_once_at_each_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed again rounds nothing, and nothing is held or kept afterwards."""
    model = make_llama()
    model.requires_grad_(requires_grad=False)
    monkeypatch.setattr(switch, "QUANTIZER", QUANTIZER)
    adapter = LoraBankAdapter(r=4, placement="parallel")
    layers = install(model, LayerPlan(QUANTIZER, adapter, 0, widths=(switch.HIGH, switch.LOW)))
    rounded: list[str] = []
    for layer in layers.values():
        for name, ranges in layer.list_ranges().items():
            real = ranges.absorb

            def absorb(*args: Any, name: str = name, real: Any = real, **values: Any) -> Any:
                rounded.append(name)
                return real(*args, **values)

            monkeypatch.setattr(ranges, "absorb", absorb)
    figures = switch.measure_holding(layers, rounds=2)
    assert sorted(rounded) == sorted(["ranges.4", "ranges.8"] * len(layers))
    assert set(figures) == {
        "switch_and_hold_first_milliseconds",
        "switch_and_hold_milliseconds",
    }
    assert all(layer.held is None and layer.kept is None for layer in layers.values())
