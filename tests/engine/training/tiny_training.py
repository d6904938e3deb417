"""A training small enough for a test: layers of a tiny Llama, a text to learn by heart, a teacher.

Start with `make_training`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.events import Event, Listener, MetricPoint
from engine.layers.head import SplitModel
from engine.layers.swap import Layers
from engine.specs import AdapterSpec, QatTraining
from engine.specs.quantizer import WeightQuantizer
from engine.teacher.targets import teacher_targets
from engine.training.batches import TrainingData
from engine.training.bit_policy import BitPolicy, build_bit_policy
from engine.training.learner import LanguageLearner
from engine.training.loop import Place, train
from engine.training.parameter_groups import list_adapters, named_trainables
from engine.training.rank_policy import RankPolicy
from tests.engine.tiny_layers import integer, lora, quantize, some_tokens
from tests.tiny_models import make_llama

WINDOWS = some_tokens(6, 16)


@dataclass
class Tiny:
    """A model with layers, and what to train on."""

    model: Any
    layers: Layers
    data: TrainingData
    quantizer: WeightQuantizer = field(default_factory=integer)

    def train(
        self,
        spec: QatTraining,
        folder: Path,
        *,
        resume_from: Path | None = None,
        identity: str = "this",
        listener: Listener | None = None,
        policy: RankPolicy | None = None,
    ) -> list[Event]:
        """Train by the spec's bit policy; return the events, which a listener hears as well."""
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if listener is not None:
                listener(event)

        place = Place(folder, identity, resume_from)
        folder.mkdir(parents=True, exist_ok=True)
        train(
            self.learner(spec),
            self.layers,
            spec,
            place=place,
            listener=listen,
            policy=policy,
            bit_policy=self.bit_policy(spec),
        )
        return events

    def bit_policy(self, spec: QatTraining) -> BitPolicy | None:
        """Return the policy of the spec."""
        return build_bit_policy(
            spec.bit_policy,
            self.layers,
            self.quantizer,
            total_steps=self.data.total_steps,
            seed=self.data.seed,
            trains_unrounded=bool(list_adapters(self.layers)),
        )

    def trained(self) -> dict[str, Tensor]:
        """Return a copy of what trains, of every width."""
        named = named_trainables(self.layers)
        return {name: value.detach().clone() for name, value in named.items()}

    def learner(self, spec: QatTraining) -> LanguageLearner:
        """Return what it learns."""
        return LanguageLearner(SplitModel(self.model), spec, self.data)

    def state(self) -> dict[str, Tensor]:
        """Return a copy of every parameter by name."""
        return {name: value.detach().clone() for name, value in self.model.named_parameters()}


def make_spec(**values: Any) -> QatTraining:
    """Return a training of six windows in steps of two, at rates high enough to see."""
    defaults: dict[str, Any] = {
        "learning_rate": 1e-2,
        "range_learning_rate": 1e-3,
        "per_device_train_batch_size": 2,
        "max_length": 16,
        "warmup_ratio": 0.2,
        "objective": "both",
    }
    return QatTraining(**defaults | values)


def make_training(
    folder: Path,
    *,
    steps: int,
    quantizer: WeightQuantizer | None = None,
    adapter: AdapterSpec | None = None,
    tied: bool = False,
    widths: tuple[int, ...] = (),
) -> Tiny:
    """Build the tiny Llama, ask it as a teacher, then install its layers."""
    model = make_llama(tied=tied)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(10)  # a teacher with opinions
    targets = teacher_targets(
        SplitModel(model),
        WINDOWS,
        temperature=1.0,
        model_key=f"tied {tied}",
        folder=folder / "teacher",
        progress=lambda _done, _total: None,
    )
    quantizer = quantizer or integer()
    layers = quantize(model, quantizer, adapter or lora(), widths=widths)
    return Tiny(model, layers, TrainingData(WINDOWS, targets, steps, seed=3), quantizer)


def curve(events: list[Event], key: str) -> dict[int, float]:
    """Return the points of one curve by step."""
    return {
        event.step: event.value
        for event in events
        if isinstance(event, MetricPoint) and event.key == key
    }
