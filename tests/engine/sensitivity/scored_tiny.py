"""Tiny models whose units are scored, with weights large enough to say something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.events import Event, SensitivityScored
from engine.layers.head import SplitModel
from engine.layers.width_bank import add_widths
from engine.models.conv1d import replace_conv1d
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.start_map import build_start
from engine.sensitivity.text_losses import CalibrationText
from engine.sensitivity.units import list_units
from engine.specs import Ablation, IntegerQuantizer, SensitivitySpec
from engine.specs.quantizer import WeightQuantizer
from tests.engine.sensitivity.odd_families import (
    make_flat,
    make_gemma3n,
    make_opt,
    make_routed,
    make_shared,
)
from tests.engine.tiny_layers import integer, quantize, some_tokens
from tests.tiny_models import make_gpt2, make_llama

Scores = dict[tuple[str, int, str], SensitivityScored]
GEMMA3N = IntegerQuantizer(
    bits=4,
    group_size=16,
    exclude=("*embed*", "lm_head", "*altup*", "*per_layer*", "*laurel*"),
)
"""For a tiny Gemma 3n, some of whose layers are narrower than a group."""
NUM_WINDOWS, LENGTH, BATCH_SIZE = 5, 12, 2


def _plain_gpt2() -> PreTrainedModel:
    model = make_gpt2()
    replace_conv1d(model)
    return model


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": make_llama,
    "tied": lambda: make_llama(tied=True),
    "gpt2": _plain_gpt2,
    "flat": make_flat,
    "gemma3n": make_gemma3n,
    "opt": make_opt,
    "routed": make_routed,
    "shared": make_shared,
}


def sharpened(kind: str) -> PreTrainedModel:
    """Build a model whose distributions are not flat."""
    model = MODELS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(5)
    return model


def scored(
    kind: str = "llama",
    *,
    widths: tuple[int, ...] = (2, 4),
    quantizer: WeightQuantizer | None = None,
    embeddings: bool = False,
    **asked: Any,
) -> tuple[ScoredModel, CalibrationText, SensitivitySpec]:
    """Return a model at its start map, calibration text, and the spec that asks for both."""
    quantizer = quantizer or integer(embeddings=embeddings)
    model = sharpened(kind)
    windows = some_tokens(NUM_WINDOWS, LENGTH)
    text = CalibrationText(windows, original_states(model, windows), BATCH_SIZE)
    asked.setdefault("method", Ablation())
    spec = SensitivitySpec(quantizer=quantizer, widths=widths, **asked)
    layers = quantize(model, quantizer)
    start_bits = {spec.start_bits, 3, 8}
    add_widths(layers, (*widths, *start_bits), spec)
    model.requires_grad_(requires_grad=False)
    assert isinstance(quantizer, IntegerQuantizer)
    start = build_start(layers, spec, quantizer, dtype=torch.float32)
    units = list_units(list(layers), spec.unit)
    return ScoredModel(model, SplitModel(model), start, units), text, spec


@torch.no_grad()
def original_states(model: PreTrainedModel, windows: Tensor) -> Tensor:
    """Return what a model, before anything is rounded, makes of windows."""
    return SplitModel(model).hidden(windows)


class Heard:
    """A listener that keeps the last score of every unit, width and metric, and their order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        self.events.append(event)

    @property
    def scores(self) -> Scores:
        """Return the last score of each."""
        found = (event for event in self.events if isinstance(event, SensitivityScored))
        return {(each.unit, each.bits, each.metric): each for each in found}


def ignore(done: int, total: int) -> None:
    """Tell nobody of progress."""
    del done, total
