"""Promises of the switch benchmark: it measures real layers, on a model small enough for a test."""

from __future__ import annotations

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
